"""The legs of one client session: dialled when the server needs them, joined to the target that this client's own file
names for a mapping. A hostile server can make it dial nothing else."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.client.published import Published
from gotunnel.config.model import MappingConfig
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.outcome import WORDS
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed, GotunnelError, RemoteProtocolError, printable
from gotunnel.interfaces import ILeg, ILegOwner, ILocal, IRelay
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import LegGreeting, SessionKey
from gotunnel.wire.handshake import open_mac, same
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import LegsFailed

__all__ = ["ClientLegs"]

AT_ONCE = 24
"""Legs dialled side by side: enough to hide a long round trip, fewer than what a server takes from one stranger."""
GREETING_TIMEOUT = 10.0
"""Seconds for connect, and again for the handshake."""


class _Stream:
    """What runs on a busy leg: words for the log, and the dial while it is under way."""

    __slots__ = ("conn", "dial", "mapping", "source", "started")

    def __init__(self, body: OpenBody, started: float) -> None:
        self.conn = printable(body.conn, 64)
        self.source = printable(body.src, 64)
        self.mapping = printable(body.mapping)
        self.started = started
        self.dial: Deferred[ILocal] | None = None


@implementer(ILegOwner)
class ClientLegs:
    """Owned by a session; outlives it while streams run. `failed` tells the server what cannot be brought, `changed`
    is called whenever a stream has begun, and when a stream or a leg has ended."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        relay: IRelay,
        path: ServerPath,
        key: SessionKey,
        published: Published,
        limit: int,
        dial_timeout: float,
        sni: str | None,
        failed: Callable[[LegsFailed], None],
        changed: Callable[[], None],
    ) -> None:
        self.streams: dict[ILeg, _Stream] = {}
        self._clock = clock
        self._relay = relay
        self._path = path
        self._key = key
        self._published = published
        self._limit = limit
        self._dial_timeout = dial_timeout
        self._sni = sni
        self._failed = failed
        self._changed = changed
        self._legs: set[ILeg] = set()
        self._dialling: set[Deferred[None]] = set()
        self._wanted: deque[bool] = deque()  # plain or not, one for each leg still to be dialled
        self._seq = itertools.count(1)
        self._no_more = False
        self._over = False
        self._lines = LogLimit(rate=1.0, burst=10)

    @property
    def held(self) -> int:
        """Legs that are there, under way or still to be dialled."""
        return len(self._legs) + len(self._dialling) + len(self._wanted)

    def bring(self, plain: bool, count: int) -> None:
        """The server needs more legs."""
        if self._no_more:
            return  # asked before the server knew
        room = max(0, self._limit - self.held)
        if count > room:
            self._failed(LegsFailed(plain, count - room, "as many legs as the server allows are there already"))
        self._wanted.extend([plain] * min(count, room))
        self._dial_some()

    def bring_no_more(self) -> None:
        """The client is about to stop. The legs that are there still serve what the server has opened by now."""
        self._no_more = True
        self._wanted.clear()
        for dialling in tuple(self._dialling):
            dialling.cancel()

    @property
    def all_busy(self) -> bool:
        """Whether no leg is left on which an OPEN could come, nor one under way."""
        return not self._dialling and self._legs == self.streams.keys()

    def end(self) -> None:
        """The session is over: idle legs close, streams go on."""
        self._over = True
        self.bring_no_more()
        for leg in self._legs - self.streams.keys():
            leg.close()

    @property
    def gone(self) -> bool:
        """Whether no leg is left, nor one under way."""
        return not self._legs and not self._dialling

    def drop(self) -> None:
        """Close all legs that are left, whatever they do."""
        for leg in tuple(self._legs):
            leg.close()

    def reset_streams(self) -> None:
        """Cut what still streams."""
        for leg, stream in tuple(self.streams.items()):
            if stream.dial is not None:
                leg.close()
            else:
                leg.reset("going_away")

    # Bringing legs.

    def _dial_some(self) -> None:
        while self._wanted and len(self._dialling) < AT_ONCE and not self._no_more:
            plain = self._wanted.popleft()
            dialling = Deferred.fromCoroutine(self._dial(plain))
            self._dialling.add(dialling)
            dialling.addErrback(self._not_brought, plain)
            dialling.addBoth(self._dialled, dialling)

    async def _dial(self, plain: bool) -> None:
        seq = next(self._seq)
        greeting = LegGreeting(self._clock, GREETING_TIMEOUT, self._key, seq, "reverse")
        greeted = await self._path.greet_leg(greeting, GREETING_TIMEOUT, plain=plain, sni=self._sni)
        if self._no_more:
            greeted.transport.abortConnection()
            return
        leg = self._relay.leg(greeted.transport, greeted.leftover, End.DIALLER, self, plain)
        leg.tag = seq
        self._legs.add(leg)

    def _not_brought(self, failure: Failure, plain: bool) -> None:
        if self._no_more:
            return
        if not failure.check(GotunnelError):
            self.log.failure("dialling a leg", failure)
        reason = printable(failure.getErrorMessage())
        self._warn("leg", "a leg could not be brought to the server: {reason}", reason=reason)
        self._failed(LegsFailed(plain, 1, reason))

    def _dialled(self, result: object, dialling: Deferred[None]) -> None:
        self._dialling.discard(dialling)
        self._dial_some()
        self._changed()

    # ILegOwner.

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        """A visitor: dial his target."""
        try:
            opening = OpenBody.decode(body)
            mapping = self._checked(leg, opening)
        except RemoteProtocolError as breach:
            self.log.warn("a leg is closed: bad OPEN: {reason}", reason=printable(breach.reason))
            leg.close()
            return
        stream = self.streams[leg] = _Stream(opening, self._clock.seconds())
        self._changed()
        if mapping is None:
            self._warn("unknown", "the server opens {mapping}, which this client does not have", mapping=stream.mapping)
            leg.refuse("unknown_mapping")
            return
        stream.dial = dial = self._relay.dial(mapping.local, self._dial_timeout)
        dial.addCallbacks(
            lambda local: self._target_answered(local, leg, stream, mapping),
            lambda failure: self._target_failed(failure, leg, stream, mapping),
        )
        dial.addErrback(lambda failure: self.log.failure("joining a leg to its target", failure))

    def leg_abandoned(self, leg: ILeg) -> None:
        """The leg is gone while the target is dialled."""
        stream = self.streams.get(leg)
        if stream is not None and stream.dial is not None:
            dial, stream.dial = stream.dial, None
            dial.cancel()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """A visitor's time is over."""
        stream = self.streams.pop(leg, None)
        if stream is None:
            return  # its OPEN was bad, and `leg_open` has said so
        self.log.info(
            "visitor {visitor} of {mapping} ended: {outcome}{code}, {up} bytes up, {down} down, {seconds:.3f} s "
            "({conn})",
            visitor=stream.source, mapping=stream.mapping, outcome=WORDS[end.outcome],
            code=f" ({printable(end.code)})" if end.code else "", up=end.up, down=end.down,
            seconds=self._clock.seconds() - stream.started, conn=stream.conn,
        )  # fmt: skip
        self._changed()

    def leg_idle(self, leg: ILeg) -> None:
        """Free for the next visitor, unless there is no session any more."""
        if self._over:
            leg.close()

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """The leg is gone."""
        self._legs.discard(leg)
        self.log.debug("a leg is gone: {reason}", reason=printable(reason))
        self._changed()

    def leg_answered(self, leg: ILeg) -> None:
        """Never happens at a dialler."""

    def leg_probed(self, leg: ILeg) -> None:
        """Never happens at a dialler."""

    # Parts of the above.

    def _checked(self, leg: ILeg, opening: OpenBody) -> MappingConfig | None:
        """Return the mapping that an OPEN names; raise RemoteProtocolError if this leg may not carry it."""
        if opening.mapping is None or opening.client is not None:
            raise RemoteProtocolError("it names no mapping of this client")
        mapping = self._published.get(opening.mapping)
        if leg.plain:
            if mapping is None or mapping.encrypt:
                raise RemoteProtocolError("the mapping is not to travel outside TLS")
            key = self._key
            expected = open_mac(
                key.ks, key.sid, leg.tag, "reverse", leg.opens, "mapping", opening.mapping, opening.conn, opening.src
            )
            if opening.n != leg.opens or opening.mac is None or not same(opening.mac, expected):
                raise RemoteProtocolError("the proof of an OPEN outside TLS is wrong")
        return mapping

    def _target_answered(self, local: ILocal, leg: ILeg, stream: _Stream, mapping: MappingConfig) -> None:
        if stream.dial is None:  # abandoned
            local.abort()
            return
        stream.dial = None
        self.log.debug(
            "visitor {visitor} of {mapping} reached {target} ({conn})",
            visitor=stream.source, mapping=stream.mapping, target=str(mapping.local), conn=stream.conn,
        )  # fmt: skip
        leg.accept(local)

    def _target_failed(self, failure: Failure, leg: ILeg, stream: _Stream, mapping: MappingConfig) -> None:
        if stream.dial is None:  # abandoned
            return
        stream.dial = None
        problem = failure.value
        code = problem.code if isinstance(problem, DialFailed) else "failed"
        self._warn(
            mapping.name, "visitor {visitor} of {mapping} did not reach its target: {reason} ({conn})",
            visitor=stream.source, mapping=stream.mapping, reason=printable(failure.getErrorMessage()),
            conn=stream.conn,
        )  # fmt: skip
        leg.refuse(code)

    def _warn(self, key: str, words: str, **values: Any) -> None:
        allowed, suppressed = self._lines.allow(key, self._clock.seconds())
        if allowed:
            more = f" ({suppressed} more like this were not logged)" if suppressed else ""
            self.log.warn(words + "{more}", more=more, **values)
