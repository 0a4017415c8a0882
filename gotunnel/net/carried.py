"""Connections of gotunnel that travel inside another protocol, a WebSocket perhaps. Each is a pair of unix sockets: one
end is what control connections and legs know, a transport with a descriptor, so that both relays take it as they take
all others; what is read at the other end goes into the other protocol, and the reverse. The kernel holds back whoever
is too fast."""

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
    """The protocol that carries the bytes: the connection on the network, once it is ready for them."""

    transport: Any

    def send(self, data: bytes) -> None:
        """Pass bytes on to the other side."""

    def finish(self) -> None:
        """Close in order, behind what was sent."""


class Carried:
    """One connection that `outer` carries. `peer` and `host` are what its transport says of the two ends.

    Making one takes two descriptors. Raises OSError.
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
        """Give the connection to `protocol`; with `connected` it believes already that it has one, of which it has not
        been given any bytes, and only its transport is another. `waited` are the seconds since it was accepted."""
        transport = _Pipe(self._near, protocol, self._peer, self._host, self._reactor, self.reset)
        transport.waited = waited
        if connected:
            protocol.transport = transport  # type: ignore[attr-defined]
        else:
            protocol.makeConnection(transport)

    def hung_up(self) -> bool:
        """Whether our side has closed it, which does not show while the other side is held back."""
        return self._over or is_gone(self._far.transport.fileno(), eof_means_gone=True)

    def received(self, data: bytes) -> None:
        """The other side sent bytes."""
        if not self._over:
            self._far.transport.write(data)

    def reset(self) -> None:
        """Our side has aborted it."""
        if not self._over:
            self._leave()
            self._outer.transport.abortConnection()
            self._far.transport.loseConnection()

    def lost(self) -> None:
        """The connection that carries this one is gone, or is being closed by the other side: what it brought is still
        read. Harmless when called again."""
        if not self._over:
            self._leave()
            self._far.transport.loseConnection()

    def far_data(self, data: bytes) -> None:
        """Bytes of ours."""
        if not self._over:
            self._outer.send(data)

    def far_lost(self) -> None:
        """Closed on our side."""
        if not self._over:
            self._leave()
            self._outer.finish()

    def _leave(self) -> None:
        self._over = True
        self._outer.transport.unregisterProducer()
        self._far.transport.unregisterProducer()
        # Whom the other one held back is to go on, if only to hear that it is over.
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
    """See PairTransport. `aborted` is called when its protocol resets it."""

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
        """Called by Twisted, perhaps again. A unix socket says ECONNRESET where the other end was closed with bytes
        that nobody has read: to us it is over, and no more."""
        super().connectionLost(Failure(error.ConnectionDone()) if reason.check(error.ConnectionLost) else reason)
