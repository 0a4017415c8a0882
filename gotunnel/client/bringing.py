"""Makes the legs of a client session: dials several in parallel, never more than the server allows. The receiver knows
what each leg is for."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel.core.descriptors import Shares
from gotunnel.core.loglimit import LogLimit
from gotunnel.errors import GotunnelError, RemoteProtocolError, printable
from gotunnel.interfaces import ILeg, IRelay
from gotunnel.logs import Logger
from gotunnel.net.descriptors import nofile
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import LegGreeting, SessionKey
from gotunnel.net.reasons import words_of
from gotunnel.wire.fields import Purpose
from gotunnel.wire.legstate import End

__all__ = ["Bringing", "LegRoom", "Receiver"]

AT_ONCE = 24
"""Legs dialled in parallel: enough to hide a long round trip, fewer than a server accepts from one stranger."""
GREETING_TIMEOUT = 10.0
"""Seconds for the connect, and again for the handshake."""

MOST_PORTS = 65_535
"""Most connections from one address to one port, because of the number of its ports."""


def most_legs() -> int:
    """Return how many legs this process has descriptors for, with a target each: a bound that no server can change."""
    return min(MOST_PORTS, Shares(nofile()).streams)


class LegRoom:
    """The descriptors for legs, shared by all sessions of a client. `left` does not include legs that are being
    made."""

    def __init__(self, most: int | None = None) -> None:
        self.left = most_legs() if most is None else most


class Receiver(Protocol):
    """The half of a session that a leg is made for, which is also the leg's ILegOwner."""

    @property
    def purpose(self) -> Purpose: ...
    @property
    def end(self) -> End: ...
    def leg_arrived(self, leg: ILeg) -> None: ...
    def leg_failed(self, plain: bool, count: int, reason: str) -> None: ...


class Bringing:
    """Owned by a session. `changed` is called when a leg was made or has failed."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        relay: IRelay,
        path: ServerPath,
        key: SessionKey,
        limit: int,
        sni: str | None,
        changed: Callable[[], None],
        shared: LegRoom | None = None,
    ) -> None:
        self.held = 0
        """Legs that are connected."""
        self._clock = clock
        self._relay = relay
        self._path = path
        self._key = key
        self._limit = limit
        self._shared = shared or LegRoom()
        self._sni = sni
        self._changed = changed
        self._dialling: dict[Deferred[None], Receiver] = {}
        self._wanted: deque[tuple[Receiver, bool]] = deque()  # legs still to be dialled; the flag says whether plain
        self._seq = itertools.count(1)
        self._no_more = False
        self._lines = LogLimit(rate=1.0, burst=10)

    def bring(self, receiver: Receiver, plain: bool, count: int) -> None:
        """Make `count` more legs, as far as the limits allow."""
        if self._no_more:
            return  # requested before the other end knew
        allowed = self._limit - self.held - len(self._dialling) - len(self._wanted)
        left = self._shared.left
        made = min(count, max(0, min(allowed, left)))
        self._shared.left -= made
        self._wanted.extend([(receiver, plain)] * made)
        if count > made:
            reason = "there are already as many legs as allowed"
            if left < allowed:
                reason = "the client has file descriptors for no more legs"
            receiver.leg_failed(plain, count - made, reason)
        self._dial_some()

    def stop(self) -> None:
        """Make no more legs, and cancel those in progress."""
        self._no_more = True
        self._shared.left += len(self._wanted)
        self._wanted.clear()
        for dialling in tuple(self._dialling):
            dialling.cancel()

    def lost(self) -> None:
        """Note that a leg has closed; called by its receiver."""
        self.held -= 1
        self._shared.left += 1

    @property
    def busy(self) -> bool:
        """Whether a leg is being made."""
        return bool(self._dialling)

    def _dial_some(self) -> None:
        while self._wanted and len(self._dialling) < AT_ONCE and not self._no_more:
            receiver, plain = self._wanted.popleft()
            dialling = Deferred.fromCoroutine(self._dial(receiver, plain))
            self._dialling[dialling] = receiver
            dialling.addErrback(self._not_brought, receiver, plain)
            dialling.addBoth(self._dialled, dialling)

    async def _dial(self, receiver: Receiver, plain: bool) -> None:
        seq = next(self._seq)
        greeting = LegGreeting(self._clock, GREETING_TIMEOUT, self._key, seq, receiver.purpose)
        greeted = await self._path.greet_leg(greeting, GREETING_TIMEOUT, plain=plain, sni=self._sni)
        if self._no_more:
            greeted.transport.abortConnection()
            self._shared.left += 1
            return
        try:
            leg = self._relay.leg(greeted.transport, greeted.leftover, receiver.end, receiver, plain)
        except RemoteProtocolError:  # it broke at the end of its handshake
            greeted.transport.abortConnection()
            raise
        leg.tag = seq
        self.held += 1
        receiver.leg_arrived(leg)

    def _not_brought(self, failure: Failure, receiver: Receiver, plain: bool) -> None:
        self._shared.left += 1
        if self._no_more:
            return
        if not failure.check(GotunnelError):
            self.log.failure("dialling a leg failed", failure)
        reason = printable(words_of(failure.value))
        more = self._lines.more("leg", self._clock.seconds())
        if more is not None:
            self.log.warn(
                "a leg could not be brought to the server: {reason}{more}",
                reason=reason, more=more,
            )  # fmt: skip
        receiver.leg_failed(plain, 1, reason)

    def _dialled(self, result: object, dialling: Deferred[None]) -> None:
        self._dialling.pop(dialling, None)
        self._dial_some()
        self._changed()
