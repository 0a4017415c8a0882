"""Measures a leg with bytes that the server itself receives and sends: first up, then down, on one leg that is brought
for this purpose. Each direction takes SECONDS, and at most MOST bytes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.interfaces import ILeg, ILegOwner, IRelay
from gotunnel.net.quiet import OneProtocol
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import State

__all__ = ["MOST", "SECONDS", "NotMeasured", "Rate", "measure"]

SECONDS = 1.5
"""For each direction."""
MOST = 16 << 20
"""Bytes, for each direction."""
BLOCK = os.urandom(1 << 16)
"""Random, so that nothing on the way can compress it."""


class NotMeasured(GotunnelError):
    """The server or the leg did not complete the measurement; the text says why."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The result of one direction: bytes carried, and seconds from the first byte to the last. If it is not `whole`,
    not everything had arrived by then."""

    carried: int
    seconds: float
    whole: bool = True

    @property
    def mbits(self) -> float:
        """Megabits per second."""
        return self.carried * 8e-6 / self.seconds


async def measure(
    reactor: Any, relay: IRelay, leg: Callable[[ILegOwner], ILeg], round_trip: float, patience: float
) -> tuple[Rate, Rate]:
    """Return the rates up and down. `leg(owner)` makes the leg from the connection that was brought. `round_trip` is in
    seconds; `patience` is the seconds for bytes that are under way when the time to send is over. Raises
    NotMeasured."""
    owner = _Owner()
    made = leg(owner)
    try:
        up = _Up(reactor, patience)
        await _visit(reactor, relay, made, owner, up, 0)
        if not up.whole:
            return Rate(up.carried, up.seconds, False), Rate(0, 1.0, False)
        down = _Down(reactor, patience)
        await _visit(reactor, relay, made, owner, down, MOST)
    finally:
        made.close()
        await owner.gone
    least = 1e-6  # the resolution of the clock
    return (
        Rate(up.carried, max(least, up.seconds - round_trip)), Rate(down.carried, max(least, down.seconds - round_trip))
    )  # fmt: skip


async def _visit(reactor: Any, relay: IRelay, leg: ILeg, owner: _Owner, end: _End, volume: int) -> None:
    if leg.state is State.CLOSED:  # after the previous visitor, or before the first one
        raise _not_measured(StreamEnd(Outcome.LEG_LOST, None, 0, 0), 0)
    near, far = socket.socketpair()
    with far:  # Twisted duplicates the descriptor
        near.setblocking(False)
        far.setblocking(False)
        local = relay.take(near, "doctor:0", "")
        reactor.adoptStreamConnection(far.fileno(), far.family, OneProtocol(lambda: end))
    over = owner.expect()
    end.leg = leg
    leg.open(local, OpenBody("doctor", "doctor:0", measure=volume).encode())
    outcome = await over
    await end.gone
    if outcome.outcome is not Outcome.COMPLETED and not end.cut:
        raise _not_measured(outcome, end.carried)


def _not_measured(end: StreamEnd, carried: int) -> NotMeasured:
    code = end.bracketed
    word = Sentence.word(WORDS[end.outcome])
    return NotMeasured(Sentence("{outcome}{code} after {count} bytes", outcome=word, code=code, count=carried))


@implementer(ILegOwner)
class _Owner:
    """The leg's owner: it reports when the leg may be used again, and when it has closed."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()
        self._over: Deferred[StreamEnd] | None = None
        self._end = StreamEnd(Outcome.LEG_LOST, None, 0, 0)

    def expect(self) -> Deferred[StreamEnd]:
        """Return a Deferred that fires when the visitor has ended and the leg is idle or has closed."""
        over: Deferred[StreamEnd] = Deferred()
        self._over = over
        return over

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """See ILegOwner."""
        self._end = end

    def leg_idle(self, leg: ILeg) -> None:
        """See ILegOwner."""
        over, self._over = self._over, None
        if over is not None:
            over.callback(self._end)

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """See ILegOwner."""
        self.leg_idle(leg)
        self.gone.callback(None)

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        """Never called at an opener."""

    def leg_abandoned(self, leg: ILeg) -> None:
        """Never called at an opener."""

    def leg_answered(self, leg: ILeg) -> None:
        """Of no interest here."""

    def leg_first_byte(self, leg: ILeg) -> None:
        """Of no interest here."""

    def leg_probed(self, leg: ILeg) -> None:
        """Never called, since nothing probes the leg."""


@implementer(IHalfCloseableProtocol)
class _End(Protocol):
    """The visitor's end of a measurement. `gone` fires when it has closed."""

    transport: Any
    leg: ILeg

    def __init__(self, reactor: Any, patience: float) -> None:
        self.cut = False
        """Whether its time was over."""
        self.gone: Deferred[None] = Deferred()
        self.carried = 0
        self.seconds = 0.0
        """From the beginning to the last byte, or to the confirmation that it has arrived."""
        self.whole = False
        self._reactor = reactor
        self._patience = patience
        self._begun = reactor.seconds()
        self._timer: IDelayedCall | None = None

    def readConnectionLost(self) -> None:
        """The server has seen the end of what went up, or has sent everything."""
        self.whole = True
        self._note()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """This half of the connection is closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has closed."""
        if not self.seconds:
            self._note()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.gone.callback(None)

    def _note(self) -> None:
        self.seconds = self._reactor.seconds() - self._begun

    def _within(self, seconds: float, act: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds, act)


class _Up(_End):
    """Sends."""

    def connectionMade(self) -> None:
        """Begin."""
        self._sending = True
        self.transport.registerProducer(self, False)
        self._within(SECONDS, self._finish)

    def resumeProducing(self) -> None:
        """The transport accepts more."""
        if self.carried >= MOST:
            self._finish()
        elif self._sending:
            self.carried += len(BLOCK)
            self.transport.write(BLOCK)

    def stopProducing(self) -> None:
        """Called when the connection is lost; `connectionLost` follows."""

    def _finish(self) -> None:
        if self._sending:
            self._sending = False
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
            self._within(self._patience, self._give_up)

    def _give_up(self) -> None:
        # What is under way may never arrive, and a reset would come after it.
        self.cut = True
        self._note()
        self.leg.close()


class _Down(_End):
    """Asks for bytes, and counts them."""

    def connectionMade(self) -> None:
        """The server waits for the end of this half."""
        self.transport.loseWriteConnection()
        self._within(self._patience, self._enough)

    def dataReceived(self, data: bytes) -> None:
        """Count the bytes."""
        if self.cut:
            return
        if not self.carried:
            self._within(SECONDS, self._enough)
        self.carried += len(data)
        self._note()

    def readConnectionLost(self) -> None:
        """Everything has arrived; the time of the last byte is noted already."""
        self.whole = True
        self.transport.loseConnection()

    def _enough(self) -> None:
        self.cut = True
        self.leg.reset("measured")
