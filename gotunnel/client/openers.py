"""Chooses the session that serves a visitor of a client's forwards, and the next one if a server did not lead the
visitor to its target. If there is another server, nothing is read from a visitor until its target has answered."""

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
"""Most mappings of others that one server may report as down: it could name any number of them."""


class Opener(Protocol):
    """The part of a session that serves visitors of forwards."""

    plain_legs: bool
    server: str
    """The server's name in logs."""

    @property
    def load(self) -> int: ...
    def serve(self, visitor: Visitor) -> bool: ...
    def feed(self) -> None: ...


class Openers:
    """All opening sessions of one client. Visitors without a leg wait in the `lobby` for the first leg of any session.
    `begun()` is called when a session has begun to serve."""

    log = Logger()

    def __init__(self, clock: Any, lobby: Lobby, begun: Callable[[], None] = lambda: None) -> None:
        self.passed: set[ForwardVisitor] = set()
        """Waiting visitors that one of the sessions has tried to serve already."""
        self._begun = begun
        self._clock = clock
        self._lobby = lobby
        self._all: list[Opener] = []
        self._unfit: dict[Opener, str] = {}  # sessions that cannot serve forwards, and why
        self._shunned: dict[tuple[Opener, str], float] = {}  # sessions that failed a forward's visitor, and until when
        self._off: dict[Opener, dict[MappingTarget, str]] = {}  # the mappings that each server reports as down
        self._warn = Warnings(self.log, clock).warn

    @property
    def refusing(self) -> bool:
        """Whether there are sessions but none can serve forwards."""
        return bool(self._unfit) and not self._all

    @property
    def why_not(self) -> str:
        """Why no session can serve; empty if one can or there is no session."""
        return next(iter(self._unfit.values())) if self.refusing else ""

    @property
    def serving(self) -> bool:
        """Whether there is a session that serves."""
        return bool(self._all)

    @property
    def take_plain(self) -> bool:
        """Whether every serving session accepts legs outside TLS."""
        return bool(self._all) and all(opener.plain_legs for opener in self._all)

    def why_off(self, target: object) -> str:
        """Why no serving session leads anybody to another client's mapping; empty if one does, as far as the servers
        have reported."""
        if not isinstance(target, MappingTarget):
            return ""
        reasons = [self._off.get(opener, {}).get(target, "") for opener in self._all]
        return reasons[0] if reasons and all(reasons) else ""

    def queue_of(self, opener: Opener) -> dict[bool, OwnQueue]:
        """Return the visitors that wait for a leg of this session, by plain or not."""
        return {plain: OwnQueue(waiting, opener, self.passed) for plain, waiting in self._lobby.waiting.items()}

    # Sessions.

    def begin(self, opener: Opener) -> None:
        """Let a session serve from now on."""
        if opener not in self._all:
            self._all.append(opener)
        opener.feed()
        self._begun()

    def unserved(self, opener: Opener, why: str) -> None:
        """Note that a session cannot serve forwards, and why."""
        self._unfit[opener] = why
        self.log.warn("forwards do not work: {reason}", reason=why)
        if self.refusing:
            self._lobby.turn_away_all(Outcome.DENIED)

    def told_off(self, opener: Opener, target: MappingTarget, reason: str | None) -> None:
        """Note that a server leads nobody to a mapping; without a reason, that it does again."""
        off = self._off.setdefault(opener, {})
        if reason is None:
            off.pop(target, None)
        elif len(off) < MOST_OFF or target in off:
            off[target] = reason

    def lost(self, opener: Opener) -> None:
        """Remove a session that has ended or opens no more. Its waiting visitors go to the others."""
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
        """Serve a new visitor now, by the session with the fewest visitors, or let it wait."""
        visitor.held = len(self._all) > 1
        self._place(visitor, self._order(visitor))

    def opened(self, visitor: ForwardVisitor, opener: Opener) -> None:
        """Note that this session has given the visitor a leg."""
        visitor.opener = opener
        self.passed.discard(visitor)

    def answered(self, visitor: ForwardVisitor) -> None:
        """Note that the visitor's target has answered: the way by this session works."""
        if visitor.opener is not None:
            self._shunned.pop((visitor.opener, visitor.mapping), None)

    def pass_on(self, visitor: ForwardVisitor, outcome: Outcome, end: StreamEnd | None) -> bool:
        """Give a visitor that a session failed to lead to its target to the next session it has not tried. Returns
        whether there is one."""
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
        """Prefer the others for a while; otherwise this session, with the fewest visitors, would get all new ones."""
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
    """The waiting visitors that one session has not tried yet."""

    def __init__(self, waiting: Waiting, opener: Opener, passed: set[ForwardVisitor]) -> None:
        self._waiting = waiting
        self._passed = passed
        self._mine: Callable[[Visitor], bool] = lambda visitor: opener not in getattr(visitor, "tried", ())

    def __len__(self) -> int:
        if not self._passed:
            return len(self._waiting)
        return sum(map(self._mine, self._waiting))

    def next(self) -> Visitor | None:
        """Take the one that has waited longest; None if none waits."""
        if not self._passed:
            return self._waiting.next()
        visitor = next(filter(self._mine, self._waiting), None)
        if visitor is not None:
            self._waiting.leave(visitor)
        return visitor
