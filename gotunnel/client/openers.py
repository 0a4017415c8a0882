"""The sessions of a client that serve visitors of its forwards: who comes first, and who is next for a visitor whom one
server did not lead to his target. Until that has answered, nothing is read from him where there is another server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.passing import BLAMED, may_pass
from gotunnel.core.roster import SHUN
from gotunnel.core.stream import StreamEnd
from gotunnel.dialrules import MappingTarget
from gotunnel.logs import Logger
from gotunnel.net.lobby import Lobby
from gotunnel.net.visitor import Visitor, Waiting
from gotunnel.net.warnings import Warnings

if TYPE_CHECKING:
    from gotunnel.client.forwardvisitors import ForwardVisitor

__all__ = ["Opener", "Openers", "OwnQueue"]


MOST_OFF = 4096
"""Mappings of others that one server may call off: it could name them for ever."""


class Opener(Protocol):
    """The part of a session that serves visitors."""

    plain_legs: bool
    server: str
    """What logs call it."""

    @property
    def load(self) -> int: ...
    def serve(self, visitor: Visitor) -> bool: ...
    def feed(self) -> None: ...


class Openers:
    """All of one client. Those who find no leg wait in the `lobby`, for the first that any of them gets. `begun()` is
    called when a session has begun to serve."""

    log = Logger()

    def __init__(self, clock: Any, lobby: Lobby, begun: Callable[[], None] = lambda: None) -> None:
        self.passed: set[ForwardVisitor] = set()
        """Who waits and has been with one of them already."""
        self._begun = begun
        self._clock = clock
        self._lobby = lobby
        self._all: list[Opener] = []
        self._unfit: dict[Opener, str] = {}  # sessions that cannot serve, and why
        self._shunned: dict[tuple[Opener, str], float] = {}  # until when: sessions that failed a visitor of a forward
        self._off: dict[Opener, dict[MappingTarget, str]] = {}  # what each server says of mappings of others
        self._warn = Warnings(self.log, clock).warn

    @property
    def refusing(self) -> bool:
        """Whether there are sessions, and none can serve."""
        return bool(self._unfit) and not self._all

    @property
    def why_not(self) -> str:
        """Why there are sessions and none can serve; nothing while one can, or there is none."""
        return next(iter(self._unfit.values())) if self.refusing else ""

    @property
    def serving(self) -> bool:
        """Whether there is a session that serves."""
        return bool(self._all)

    @property
    def take_plain(self) -> bool:
        """Whether every server that may get a visitor takes legs outside TLS."""
        return bool(self._all) and all(opener.plain_legs for opener in self._all)

    def why_off(self, target: object) -> str:
        """Why every server that may get a visitor leads nobody to a mapping of another client; nothing while one
        does, as far as they have said."""
        if not isinstance(target, MappingTarget):
            return ""
        reasons = [self._off.get(opener, {}).get(target, "") for opener in self._all]
        return reasons[0] if reasons and all(reasons) else ""

    def queue_of(self, opener: Opener) -> dict[bool, OwnQueue]:
        """Return those who wait for a leg of this session, plain or not."""
        return {plain: OwnQueue(waiting, opener, self.passed) for plain, waiting in self._lobby.waiting.items()}

    # Sessions.

    def begin(self, opener: Opener) -> None:
        """A session serves from now on."""
        if opener not in self._all:
            self._all.append(opener)
        opener.feed()
        self._begun()

    def unserved(self, opener: Opener, why: str) -> None:
        """There is a session, and it cannot serve them."""
        self._unfit[opener] = why
        self.log.warn("forwards do not work: {reason}", reason=why)
        if self.refusing:
            self._lobby.turn_away_all(Outcome.DENIED)

    def told_off(self, opener: Opener, target: MappingTarget, reason: str | None) -> None:
        """A server says that it leads nobody to a mapping, or, without a reason, that it does again."""
        off = self._off.setdefault(opener, {})
        if reason is None:
            off.pop(target, None)
        elif len(off) < MOST_OFF or target in off:
            off[target] = reason

    def lost(self, opener: Opener) -> None:
        """A session has ended, or opens no more; those who wait are for the others."""
        self._off.pop(opener, None)
        self._unfit.pop(opener, None)
        self._shunned = {key: until for key, until in self._shunned.items() if key[0] is not opener}
        if opener not in self._all:
            return
        self._all.remove(opener)
        if self.refusing:
            self._lobby.turn_away_all(Outcome.DENIED)
        for other in tuple(self._all):
            other.feed()

    # Visitors.

    def place(self, visitor: ForwardVisitor) -> None:
        """He has come: serve him now, by the session with the fewest, or let him wait."""
        visitor.held = len(self._all) > 1
        self._place(visitor, self._order(visitor))

    def opened(self, visitor: ForwardVisitor, opener: Opener) -> None:
        """This session has given him a leg."""
        visitor.opener = opener
        self.passed.discard(visitor)

    def answered(self, visitor: ForwardVisitor) -> None:
        """His target has answered: whatever was wrong with the way to it is over."""
        if visitor.opener is not None:
            self._shunned.pop((visitor.opener, visitor.mapping), None)

    def pass_on(self, visitor: ForwardVisitor, outcome: Outcome, end: StreamEnd | None) -> bool:
        """The session that had him did not lead him to his target. Give him to the next one that he has not been with,
        and say whether there is one."""
        opener, visitor.opener = visitor.opener, None
        if opener is None or visitor.served:
            return False
        if outcome in BLAMED:
            self._failed(opener, visitor.mapping)
        if not visitor.held or visitor.local.gone or not may_pass(outcome, end):
            return False
        visitor.tried.add(opener)
        others = self._order(visitor)
        if not others:
            return False
        code = end.bracketed if end is not None else ""
        self._warn(
            visitor.mapping, "visitor {visitor} of forward {forward} moves from the server {server} to another "
                             "one: {outcome}{code} ({conn})",
            visitor=visitor.local.address, forward=visitor.mapping, server=opener.server, outcome=WORDS[outcome],
            code=code, conn=visitor.conn,
        )  # fmt: skip
        self._place(visitor, others)
        return True

    def _failed(self, opener: Opener, forward: str) -> None:
        """It comes behind the others for a while, or it would have the fewest visitors and get all that come."""
        if opener in self._all:
            self._shunned[opener, forward] = self._clock.seconds() + SHUN

    def _order(self, visitor: ForwardVisitor) -> list[Opener]:
        able = [opener for opener in self._all if opener not in visitor.tried]
        if len(able) > 1:
            now, shunned, name = self._clock.seconds(), self._shunned, visitor.mapping
            able.sort(key=lambda opener: (shunned.get((opener, name), 0.0) > now, opener.load))
        return able

    def _place(self, visitor: ForwardVisitor, openers: list[Opener]) -> None:
        if any(opener.serve(visitor) for opener in openers):
            return
        if visitor.tried:
            self.passed.add(visitor)
        self._lobby.wait(visitor)
        for opener in openers:
            opener.feed()


class OwnQueue:
    """Those of the lobby who have not been with one session yet."""

    def __init__(self, waiting: Waiting, opener: Opener, passed: set[ForwardVisitor]) -> None:
        self._waiting = waiting
        self._passed = passed
        self._mine: Callable[[Visitor], bool] = lambda visitor: opener not in getattr(visitor, "tried", ())

    def __len__(self) -> int:
        if not self._passed:
            return len(self._waiting)
        return sum(map(self._mine, self._waiting))

    def next(self) -> Visitor | None:
        """Take the one of them that has waited longest."""
        if not self._passed:
            return self._waiting.next()
        visitor = next(filter(self._mine, self._waiting), None)
        if visitor is not None:
            self._waiting.leave(visitor)
        return visitor
