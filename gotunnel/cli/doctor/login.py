"""Logs in to a server as the client itself would, measures, and disconnects in order. Registers nothing.

What a server keeps for that name stays: without a `register` no mapping is closed, and the time of grace of a lost
client begins again. The first message is `drain`, so that no visitor is given to this login, and so that the client
itself takes over at once if it connects meanwhile. While a client is connected and answers, the server refuses this
login (`name_in_use`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from statistics import median
from time import time as wall_clock
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IHandshakeListener
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from gotunnel import __version__
from gotunnel.cli.doctor.names import readable
from gotunnel.cli.doctor.throughput import NotMeasured, Rate, measure
from gotunnel.client.attempt import token_for
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, GotunnelError, RemoteProtocolError, Sentence
from gotunnel.interfaces import ILeg, ILegOwner, IRelay
from gotunnel.net.control import ControlConnection
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import ControlGreeting, Greeted, LegGreeting, SessionKey
from gotunnel.net.transports import hand_over
from gotunnel.wire.greeting import EXAMINES, MEASURE
from gotunnel.wire.handshake import ClientHandshake, Established
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import Drain, DrainOk, Error, Message

__all__ = ["Login", "log_in"]

PINGS = 5
DRAIN_MS = 1000
"""The time for visitors that the drain message names; there are no visitors."""
SEQ = 1
"""The number of the only leg."""


@dataclass(slots=True)
class Login:
    """What is known after a login. None means that it did not get that far."""

    certificate: x509.Certificate | None = None
    refused: GotunnelError | None = None
    established: Established | None = None
    round_trips: tuple[float, ...] = ()
    """In seconds."""
    leg: float | GotunnelError | None = None
    """Seconds to connect and prove one leg, or why that failed."""
    skew: tuple[float, float] | None = None
    """Seconds by which the server's clock is ahead of this machine's, and the error of that figure in seconds."""
    throughput: tuple[Rate, Rate] | NotMeasured | None = None
    """Up and down; None if it was not tried."""

    @property
    def can_measure(self) -> bool:
        """Whether the server supports measurements."""
        return self.established is not None and MEASURE in self.established.challenge.caps


async def log_in(
    reactor: Any, path: ServerPath, config: ClientConfig, timeout: float, relay: IRelay | None = None
) -> Login:
    """Log in, and measure. Each step has `timeout` seconds. Throughput is measured with `relay`, or not at all if that
    is None."""
    try:
        token = token_for(config, path)
    except GotunnelError as refused:
        return Login(None, refused)
    handshake = ClientHandshake(
        config.name, token, secrets.token_bytes(16), f"gotunnel/{__version__} {EXAMINES}", bearer=config.bearer
    )
    greeting = _Examining(reactor, timeout, handshake)
    try:
        greeted = await path.greet(greeting, timeout)
    except GotunnelError as refused:
        return Login(greeting.certificate, refused, skew=greeting.skew)
    assert greeted.established is not None
    login = Login(greeting.certificate, None, greeted.established, skew=greeting.skew)
    visit = _Visit(reactor, greeted)
    try:
        login.round_trips = await visit.measure(timeout)
        login.leg, brought = await _bring_leg(reactor, path, greeted.established, timeout)
        if brought is not None and relay is not None and login.can_measure:
            login.throughput = await _measure(reactor, relay, brought, median(login.round_trips), timeout)
        elif brought is not None:
            brought.transport.abortConnection()
    except GotunnelError as failed:
        login.refused = failed
    finally:
        await visit.leave()
    return login


@implementer(IHandshakeListener)
class _Examining(ControlGreeting):
    """Keeps the certificate and the clock difference, also of a server that then refuses the login."""

    certificate: x509.Certificate | None = None
    skew: tuple[float, float] | None = None
    _asked = 0.0  # when TLS was ready and the first question left, or a little earlier

    def connectionMade(self) -> None:
        self._asked = self._clock.seconds()
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        self._asked = self._clock.seconds()

    def _answer(self, payload: bytes) -> None:
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            shown = self.transport.getPeerCertificate()
            self.certificate = None if shown is None else readable(shown)
        challenged = self._challenged
        now = wall_clock()
        super()._answer(payload)
        said = self._handshake.challenge.time
        if not challenged and said is not None:
            away = (self._clock.seconds() - self._asked) / 2
            self.skew = (said + away - now, away)


class _Visit:
    """The control connection, from the proof to its end."""

    def __init__(self, reactor: Any, greeted: Greeted) -> None:
        established = greeted.established
        assert established is not None
        auth_ok = established.auth_ok
        self._reactor = reactor
        self._drained: Deferred[None] = Deferred()
        self._gone: Deferred[None] = Deferred()
        self._error: GotunnelError | None = None
        self._control = ControlConnection(
            reactor, auth_ok.heartbeat, auth_ok.heartbeat_timeout, self._message, self._lost
        )
        hand_over(greeted.transport, self._control, b"")
        self._control.send(Drain(DRAIN_MS))
        if greeted.leftover:
            self._control.dataReceived(greeted.leftover)

    async def measure(self, timeout: float) -> tuple[float, ...]:
        """Wait until the server has agreed to send no visitors; return the round trips of some pings, in seconds."""
        try:
            await self._drained.addTimeout(timeout, self._reactor)
        except TimeoutError:
            late = Sentence("no answer within {timeout:g} s", timeout=timeout)
            raise RemoteProtocolError(late, "timeout") from None
        trips = []
        for _ in range(PINGS):
            begun = self._reactor.seconds()
            if not await self._control.answers(timeout):
                late = Sentence("no answer to a ping within {timeout:g} s", timeout=timeout)
                raise self._error or RemoteProtocolError(late, "timeout")
            trips.append(self._reactor.seconds() - begun)
        return tuple(trips)

    async def leave(self) -> None:
        """Close, and wait until the connection has closed."""
        self._control.close(None, "done")
        await self._gone

    def _message(self, message: Message) -> None:
        if isinstance(message, DrainOk):
            self._settle(None)
        elif isinstance(message, Error):
            self._settle(AuthRejected(message.code, message.reason, message.retry_after))

    def _lost(self, reason: str) -> None:
        self._settle(RemoteProtocolError(Sentence("the connection ended: {reason}", reason=reason), "closed"))
        self._gone.callback(None)

    def _settle(self, error: GotunnelError | None) -> None:
        self._error = self._error or error
        if self._drained.called:
            return
        if error is None:
            self._drained.callback(None)
        else:
            self._drained.errback(error)


async def _bring_leg(
    reactor: Any, path: ServerPath, established: Established, timeout: float
) -> tuple[float | GotunnelError, Greeted | None]:
    """Bring one leg. A server that drains still accepts and proves it. This end is the opener."""
    key = SessionKey(established.sid, established.ks)
    begun = reactor.seconds()
    try:
        greeted = await path.greet_leg(
            LegGreeting(reactor, timeout, key, SEQ, "forward"), timeout, plain=False, sni=established.auth_ok.leg_sni
        )
    except GotunnelError as failed:
        return failed, None
    return reactor.seconds() - begun, greeted


async def _measure(
    reactor: Any, relay: IRelay, brought: Greeted, round_trip: float, timeout: float
) -> tuple[Rate, Rate] | NotMeasured:
    def leg(owner: ILegOwner) -> ILeg:
        made: ILeg = relay.leg(brought.transport, brought.leftover, End.OPENER, owner, False)
        made.tag = SEQ
        return made

    try:
        return await measure(reactor, relay, leg, round_trip, timeout)
    except NotMeasured as failed:
        return failed
