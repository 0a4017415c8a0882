"""What a client measures its leg with: a target that is this server itself. It takes what comes, and when that has
ended sends back as many bytes as were asked for. For a limited time, one at a time for each client, and no more bytes
than MOST in either direction."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.net.quiet import OneProtocol

__all__ = ["Measuring"]

MOST = 1 << 26
"""Bytes, to here and back."""
SECONDS = 30.0
"""A measurement ends after that, whatever it has come to."""
BLOCK = 1 << 16


class Measuring:
    """All measurements of one server."""

    def __init__(self, reactor: Any, relay: IRelay) -> None:
        self._reactor = reactor
        self._relay = relay
        self._busy: set[str] = set()

    def dial(self, client: str, volume: int) -> ILocal:
        """Return a target for this client that sends `volume` bytes back. Raises DialFailed."""
        if client in self._busy:
            raise DialFailed("limit", "this client measures already")
        try:
            near, far = socket.socketpair()
        except OSError:
            raise DialFailed("no_fds", "the server is out of file descriptors") from None
        with far:  # Twisted takes a descriptor of its own
            near.setblocking(False)
            far.setblocking(False)
            try:
                local: ILocal = self._relay.take(near, "this server", "")
            except OSError:
                raise DialFailed("no_fds", "the server is out of file descriptors") from None
            target = _Target(self._reactor, volume, lambda: self._busy.discard(client))
            try:
                self._reactor.adoptStreamConnection(far.fileno(), far.family, OneProtocol(lambda: target))
            except OSError:
                local.abort()
                raise DialFailed("no_fds", "the server is out of file descriptors") from None
        self._busy.add(client)
        return local


@implementer(IHalfCloseableProtocol)
class _Target(Protocol):
    """The far end of the pair. `over()` is called at its end."""

    transport: Any

    def __init__(self, reactor: Any, volume: int, over: Any) -> None:
        self._reactor = reactor
        self._left = volume
        self._over = over
        self._taken = 0
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """It is the target of a leg from now on."""
        self._timer = self._reactor.callLater(SECONDS, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the measurement: only their number matters."""
        self._taken += len(data)
        if self._taken > MOST:
            self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """All of it is here: send back what was asked for."""
        self.transport.registerProducer(self, False)

    def writeConnectionLost(self) -> None:
        """Nobody takes more."""
        self.transport.abortConnection()

    def resumeProducing(self) -> None:
        """The transport takes more."""
        block = bytes(min(BLOCK, self._left))
        self._left -= len(block)
        if block:
            self.transport.write(block)
        if not self._left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        """The connection is being lost, as `connectionLost` will say."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._over()
