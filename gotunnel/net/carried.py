"""Connections of gotunnel inside another protocol, such as a WebSocket.

Each is a pair of unix sockets. Control connections and legs use one end as a transport with a descriptor, so both
relays treat it like any other connection. Bytes read at the other end go into the outer protocol, and the reverse. The
kernel's socket buffers provide flow control.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet import error
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.net.pairtransport import PairTransport
from gotunnel.net.sockets import is_gone

__all__ = ["Carried", "Outer"]


class Outer(TypingProtocol):
    """The protocol on the network connection, once it is ready to carry bytes."""

    transport: Any

    def send(self, data: bytes) -> None:
        """Send bytes to the other side."""

    def finish(self) -> None:
        """Close in order, after what was sent."""


class Carried:
    """One connection that `outer` carries. Its transport reports `peer` and `host` as its two ends.

    Creating one takes two descriptors. Raises OSError.
    """

    def __init__(self, reactor: Any, outer: Outer, peer: IAddress, host: IAddress) -> None:
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.setblocking(False)
        self._near, self._peer, self._host, self._reactor = near, peer, host, reactor
        self._outer = outer
        self._over = False
        self._far = _Far(self)
        self._far.makeConnection(_Pipe(far, self._far, peer, host, reactor))
        outer.transport.registerProducer(self._far.transport, True)
        self._far.transport.registerProducer(outer.transport, True)

    def begin(self, protocol: IProtocol, *, connected: bool = False, waited: float = 0.0) -> None:
        """Give the connection to `protocol`. With `connected`, the protocol already believes it is connected and has
        received no bytes; only its transport is replaced. `waited` is the seconds since the connection was accepted."""
        transport = _Pipe(self._near, protocol, self._peer, self._host, self._reactor, self.reset)
        transport.waited = waited
        if connected:
            protocol.transport = transport  # type: ignore[attr-defined]
        else:
            protocol.makeConnection(transport)

    def hung_up(self) -> bool:
        """Return whether our side has closed it, even while reading from it is paused."""
        return self._over or is_gone(self._far.transport.fileno(), eof_means_gone=True)

    def received(self, data: bytes) -> None:
        """Take bytes from the other side."""
        if not self._over:
            self._far.transport.write(data)

    def reset(self) -> None:
        """Our side has aborted the connection: abort the outer one, too."""
        if not self._over:
            self._leave()
            self._outer.transport.abortConnection()
            self._far.transport.loseConnection()

    def lost(self) -> None:
        """The outer connection has closed, or the other side is closing it. Bytes that it brought are still read. May
        be called again."""
        if not self._over:
            self._leave()
            self._far.transport.loseConnection()

    def far_data(self, data: bytes) -> None:
        """Send bytes of our side."""
        if not self._over:
            self._outer.send(data)

    def far_lost(self) -> None:
        """Our side has closed: close the outer connection in order."""
        if not self._over:
            self._leave()
            self._outer.finish()

    def _leave(self) -> None:
        self._over = True
        self._outer.transport.unregisterProducer()
        self._far.transport.unregisterProducer()
        # The outer connection may be paused; it must read again to notice its own end.
        self._outer.transport.resumeProducing()


class _Far(Protocol):
    """The end of the pair whose bytes are carried."""

    transport: Any

    def __init__(self, carried: Carried) -> None:
        self._carried = carried

    def dataReceived(self, data: bytes) -> None:
        self._carried.far_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._carried.far_lost()


class _Pipe(PairTransport):
    """See PairTransport. `aborted` is called when its protocol aborts it."""

    _tlsClientDefault = True
    waited = 0.0
    """See ITransportListener."""

    def __init__(
        self, sock: socket.socket, protocol: IProtocol, peer: IAddress, host: IAddress, reactor: Any,
        aborted: Callable[[], None] | None = None,
    ) -> None:
        self._aborted = aborted
        super().__init__(sock, protocol, peer, host, reactor, str(peer))

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        super().abortConnection()
        aborted, self._aborted = self._aborted, None
        if aborted is not None:
            aborted()

    def connectionLost(self, reason: Failure) -> None:
        """Called by Twisted, perhaps twice. A unix socket reports ECONNRESET if the other end closed with unread bytes;
        here that is an ordinary close."""
        super().connectionLost(Failure(error.ConnectionDone()) if reason.check(error.ConnectionLost) else reason)
