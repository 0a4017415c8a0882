"""Proves a client to its server as the client itself would, measures, and leaves in order. It registers nothing.

What a server keeps for that name stays: without a `register` no mapping is closed, and the time of grace of a client
that was lost begins anew. The first word is `drain`, so that no visitor is given to us, and the client itself takes
over at once when it comes meanwhile. While one is connected and answers, the server refuses us (`name_in_use`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, TimeoutError
from twisted.protocols.tls import TLSMemoryBIOProtocol

from gotunnel import __version__
from gotunnel.cli.doctor.names import readable
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, GotunnelError, RemoteProtocolError
from gotunnel.net.control import ControlConnection
from gotunnel.net.dialer import ServerPath
from gotunnel.net.greeting import ControlGreeting, Greeted, LegGreeting, SessionKey
from gotunnel.net.transports import hand_over
from gotunnel.wire.handshake import ClientHandshake, Established
from gotunnel.wire.messages import Drain, DrainOk, Error, Message

__all__ = ["Login", "log_in"]

PINGS = 5
DRAIN_MS = 1000
"""What is said of how long visitors have; there are none."""


@dataclass(slots=True)
class Login:
    """What is known when it is over; None is what it did not come to."""

    certificate: x509.Certificate | None = None
    refused: GotunnelError | None = None
    established: Established | None = None
    round_trips: tuple[float, ...] = ()
    """Seconds."""
    leg: float | GotunnelError | None = None
    """Seconds to connect and prove one leg, or why that failed."""


async def log_in(reactor: Any, path: ServerPath, config: ClientConfig, timeout: float) -> Login:
    """Do all of it; each step has `timeout` seconds."""
    handshake = ClientHandshake(
        config.name, config.token.get_secret_value(), secrets.token_bytes(16), f"gotunnel/{__version__} doctor"
    )
    greeting = _Examining(reactor, timeout, handshake)
    try:
        greeted = await path.greet(greeting, timeout)
    except GotunnelError as refused:
        return Login(greeting.certificate, refused)
    assert greeted.established is not None
    login = Login(greeting.certificate, None, greeted.established)
    visit = _Visit(reactor, greeted)
    try:
        login.round_trips = await visit.measure(timeout)
        login.leg = await _bring_leg(reactor, path, greeted.established, timeout)
    except GotunnelError as failed:
        login.refused = failed
    finally:
        await visit.leave()
    return login


class _Examining(ControlGreeting):
    """Remembers the certificate, also of a server that then refuses us."""

    certificate: x509.Certificate | None = None

    def _answer(self, payload: bytes) -> None:
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            shown = self.transport.getPeerCertificate()
            self.certificate = None if shown is None else readable(shown)
        super()._answer(payload)


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
        """Wait until the server has agreed to give us nobody, and return the round trips of some pings."""
        try:
            await self._drained.addTimeout(timeout, self._reactor)
        except TimeoutError:
            raise RemoteProtocolError(f"no answer within {timeout:g} s", "timeout") from None
        trips = []
        for _ in range(PINGS):
            begun = self._reactor.seconds()
            if not await self._control.answers(timeout):
                raise self._error or RemoteProtocolError(f"no answer to a ping within {timeout:g} s", "timeout")
            trips.append(self._reactor.seconds() - begun)
        return tuple(trips)

    async def leave(self) -> None:
        """Close, and wait until it is closed."""
        self._control.close(None, "done")
        await self._gone

    def _message(self, message: Message) -> None:
        if isinstance(message, DrainOk):
            self._settle(None)
        elif isinstance(message, Error):
            self._settle(AuthRejected(message.code, message.reason, message.retry_after))

    def _lost(self, reason: str) -> None:
        self._settle(RemoteProtocolError(f"the connection ended: {reason}", "closed"))
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
) -> float | GotunnelError:
    """Bring one leg, which a server that drains takes, proves and closes."""
    key = SessionKey(established.sid, established.ks)
    begun = reactor.seconds()
    try:
        greeted = await path.greet_leg(
            LegGreeting(reactor, timeout, key, 1, "reverse"), timeout, plain=False, sni=established.auth_ok.leg_sni
        )
    except GotunnelError as failed:
        return failed
    seconds: float = reactor.seconds() - begun
    greeted.transport.abortConnection()
    return seconds
