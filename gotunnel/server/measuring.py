"""A target inside the server with which a client measures its leg.

It reads the stream to its end and then sends back the number of bytes that was requested. A measurement is limited in
time, to one per client, and to MOST bytes in either direction.
"""

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
"""The most bytes in either direction. Those to send back are limited by the wire format (`Volume`)."""
SECONDS = 30.0
"""Seconds after which a measurement is aborted."""
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
        with far:  # Twisted duplicates the descriptor
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
    """The far end of the socket pair. `over()` is called when it closes."""

    transport: Any

    def __init__(self, reactor: Any, volume: int, over: Any) -> None:
        self._reactor = reactor
        self._left = volume
        self._over = over
        self._taken = 0
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Start the time limit."""
        self._timer = self._reactor.callLater(SECONDS, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """Count the bytes, and ignore their content."""
        self._taken += len(data)
        if self._taken > MOST:
            self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """The client has sent everything: send back the requested bytes."""
        self.transport.registerProducer(self, False)

    def writeConnectionLost(self) -> None:
        """Abort, because nothing can be sent any more."""
        self.transport.abortConnection()

    def resumeProducing(self) -> None:
        """Send the next block."""
        block = bytes(min(BLOCK, self._left))
        self._left -= len(block)
        if block:
            self.transport.write(block)
        if not self._left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        """Nothing to do: `connectionLost` follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timer and report the end."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._over()
