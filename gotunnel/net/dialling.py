"""The dialling end of one session's legs: an OPEN arrives, its target is dialled, and the two are joined. A client
dials on reverse legs, the server on forward legs. The subclass decides what an OPEN may reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.core.stream import GOING_AWAY, KICKED, StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import DialFailed, RemoteProtocolError, printable, said_behind
from gotunnel.interfaces import ILeg, ILegOwner, ILocal
from gotunnel.logs import Logger
from gotunnel.net.dialled import DialledStream, Route, cut
from gotunnel.net.greeting import SessionKey
from gotunnel.net.legacts import BREACH, BREACH_WORDS
from gotunnel.net.leghashes import LegHashes
from gotunnel.net.reasons import words_of
from gotunnel.net.warnings import Warnings
from gotunnel.wire.fields import Purpose
from gotunnel.wire.handshake import same_mac
from gotunnel.wire.legbodies import OpenBody

if TYPE_CHECKING:
    from gotunnel.core.view import LegsView

__all__ = ["DiallingEnd"]

LEFT = 300.0
"""Seconds that an opener has, after the session's end, to pass on the last bytes of its legs and close them. It
normally does so by itself; this limit is for one that never does."""


@implementer(ILegOwner)
class DiallingEnd:
    """The dialler's half of a session. It outlives the control connection while streams run. `changed` is called after
    each end of a stream or leg; `usage` collects the statistics."""

    log = Logger()
    purpose: ClassVar[Purpose]

    def __init__(self, clock: Any, key: SessionKey, changed: Callable[[], None], usage: Usage) -> None:
        self.key = key
        self.usage = usage
        self.streams: dict[ILeg, DialledStream] = {}
        self.legs: set[ILeg] = set()
        self._hashes = LegHashes(key, self.purpose)
        self._clock = clock
        self._changed = changed
        self._over = False
        self._left: IDelayedCall | None = None
        self.warn = Warnings(self.log, clock).warn

    # For the subclass to implement.

    def route(self, leg: ILeg, opening: OpenBody) -> Route:
        """Return where an OPEN leads. Raises RemoteProtocolError to close the leg, or DialFailed to refuse the visitor;
        without a reason, the subclass has logged it already."""
        raise NotImplementedError

    def began(self, stream: DialledStream) -> None:
        """Called when a visitor arrives, served or about to be refused. `ended` follows."""

    def ended(self, stream: DialledStream, end: StreamEnd) -> None:
        """Called when a visitor's stream has ended."""
        raise NotImplementedError

    # Called by the rest of the session.

    def add(self, leg: ILeg) -> None:
        """Add a leg that is connected."""
        self.legs.add(leg)
        self.usage.legs_created += 1

    @property
    def legs_view(self) -> LegsView:
        """The numbers of legs, for an operator."""
        from gotunnel.core.view import LegsView  # imported late: only needed when somebody asks

        busy = len(self.streams)
        return LegsView(max(0, len(self.legs) - busy), busy)

    @property
    def all_busy(self) -> bool:
        """Whether there is no idle leg on which an OPEN could arrive."""
        return self.legs == self.streams.keys()

    def end_legs(self) -> None:
        """The session is over: let idle legs close, but let streams go on."""
        self._over = True
        for leg in self.legs - self.streams.keys():
            self._leave(leg)

    def drop_legs(self) -> None:
        """Close all legs that are left, idle or not."""
        for leg in tuple(self.legs):
            leg.close()

    def reset_streams(self, mapping: str | None = None) -> int:
        """Reset all streams, or those of one mapping. Returns how many there were."""
        those = [each for each in self.streams.items() if mapping is None or each[1].mapping == mapping]
        for leg, stream in those:
            cut(leg, stream, GOING_AWAY)
        return len(those)

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id. Returns False if there is none."""
        for leg, stream in self.streams.items():
            if stream.conn == conn:
                cut(leg, stream, KICKED)
                return True
        return False

    def cut_denied(self, code: str) -> list[DialledStream]:
        """Reset the visitors whose target is no longer allowed, even during their dial. Returns their streams."""
        denied = []
        for leg, stream in tuple(self.streams.items()):
            if stream.cut or stream.refused or stream.allowed is None or stream.allowed(stream.reached):
                continue
            stream.cut = True
            denied.append(stream)
            cut(leg, stream, code)
        return denied

    # ILegOwner.

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        """Dial the target of a new visitor."""
        refused: DialFailed | None = None
        try:
            opening = OpenBody.decode(body)
            if leg.plain:
                self._prove(leg, opening)
            stream = DialledStream(opening, self._clock.seconds())
            try:
                route = self.route(leg, opening)
                dial = route.dial()
                stream.allowed = route.allowed
            except DialFailed as failed:
                stream.refused, refused = True, failed
        except RemoteProtocolError as breach:
            self.warn("bad open", "a leg is closed: bad OPEN: {reason}", reason=printable(breach.reason))
            leg.close()
            return
        self.streams[leg] = stream
        if leg.opens > 1:
            self.usage.legs_reused += 1
        self.began(stream)
        if refused is not None:
            self._refuse(leg, stream, refused)
        elif type(dial) is not Deferred:  # not isinstance: with an abstract class it takes as long as the dial
            self._join(dial, leg, stream, route)  # type: ignore[arg-type]
        else:
            self._await(dial, leg, stream, route)

    def leg_abandoned(self, leg: ILeg) -> None:
        """The leg was lost while the target was being dialled: cancel the dial."""
        stream = self.streams.get(leg)
        if stream is not None and stream.dial is not None:
            dial, stream.dial = stream.dial, None
            dial.cancel()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """A visitor's stream has ended."""
        stream = self.streams.pop(leg, None)
        if stream is None:
            return  # its OPEN was invalid, which `leg_open` has logged
        self.ended(stream, end)
        self._changed()

    def leg_idle(self, leg: ILeg) -> None:
        """The leg is free for the next visitor; let it close if the session is over."""
        if self._over:
            self._leave(leg)

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """The leg has closed."""
        self.legs.discard(leg)
        self._hashes.pop(leg, None)
        if self._left is not None and not self.legs - self.streams.keys():
            self._left.cancel()
            self._left = None
        if reason.startswith(BREACH):
            self.warn("breach", BREACH_WORDS, reason=printable(said_behind(BREACH, reason)))
        self.log.debug("a {purpose} leg is gone: {reason}", purpose=self.purpose, reason=printable(reason))
        self._changed()

    def leg_answered(self, leg: ILeg) -> None:
        """Never called at a dialler."""

    def leg_first_byte(self, leg: ILeg) -> None:
        """Never called at a dialler."""

    def leg_probed(self, leg: ILeg) -> None:
        """Never called at a dialler."""

    # Parts of the above.

    def _leave(self, leg: ILeg) -> None:
        """Let an idle leg close, since no OPEN will arrive on it. The last bytes of its last visitor may still be on
        the way, and an opener that sees a close before them takes them for lost. So the opener should close the leg,
        which it does after passing them on."""
        if not leg.opens:
            leg.close()
        elif self._left is None:
            self._left = self._clock.callLater(LEFT, self._close_left)
        else:
            self._left.reset(LEFT)

    def _close_left(self) -> None:
        self._left = None
        for leg in self.legs - self.streams.keys():
            leg.close()

    def _prove(self, leg: ILeg, opening: OpenBody) -> None:
        """Check the proof of an OPEN outside TLS, so that an attacker on the path cannot open anything (protocol,
        section 5)."""
        n, expected = leg.opens, opening.proof(self._hashes[leg], leg.opens)
        if opening.n != n or opening.mac is None or not same_mac(opening.mac, expected):
            raise RemoteProtocolError("the proof of an OPEN outside TLS is wrong")

    def _refuse(self, leg: ILeg, stream: DialledStream, refused: DialFailed) -> None:
        if refused.reason:
            self._did_not_reach(stream, printable(refused.reason, 256))
        leg.refuse(refused.code)

    def _await(self, dial: Deferred[ILocal], leg: ILeg, stream: DialledStream, route: Route) -> None:
        stream.dial = dial
        dial.addCallbacks(
            lambda local: self._target_answered(local, leg, stream, route),
            lambda failure: self._target_failed(failure, leg, stream),
        )
        dial.addErrback(lambda failure: self.log.failure("joining a leg to its target failed", failure))

    def _target_answered(self, local: ILocal, leg: ILeg, stream: DialledStream, route: Route) -> None:
        if stream.dial is None:  # cancelled meanwhile
            local.abort()
            return
        stream.dial = None
        self._join(local, leg, stream, route)

    def _join(self, local: ILocal, leg: ILeg, stream: DialledStream, route: Route) -> None:
        if self.log.debugs:
            self.log.debug(
                "visitor {visitor} of {mapping} reached {target} ({conn})",
                visitor=stream.source, mapping=stream.name, target=route.target, conn=stream.conn,
            )  # fmt: skip
        self.usage.dial.observe(self._clock.seconds() - stream.started)
        if stream.allowed is not None:
            stream.reached = local.host
        if route.header:
            local.begin_with(route.header)
        leg.accept(local, route.awaited)

    def _target_failed(self, failure: Failure, leg: ILeg, stream: DialledStream) -> None:
        if stream.dial is None:  # cancelled meanwhile
            return
        stream.dial = None
        problem = failure.value
        self._did_not_reach(stream, printable(words_of(failure.value), 256))
        leg.refuse(problem.code if isinstance(problem, DialFailed) else "failed")

    def _did_not_reach(self, stream: DialledStream, reason: str) -> None:
        self.warn(
            "refused" if stream.refused else stream.name,
            "visitor {visitor} of {mapping} did not reach its target: {reason} ({conn})",
            visitor=stream.source, mapping=stream.name, reason=reason, conn=stream.conn,
        )  # fmt: skip
