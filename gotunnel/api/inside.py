"""Connections between a leg and a Twisted protocol of this process, as a pair of unix sockets. Both relays carry them
like all others, and the kernel holds back a side that sends too fast. Resets do not travel through unix sockets, so
each end reports them to the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.python.failure import Failure

from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.net.pairtransport import PairTransport

__all__ = ["DialledTransport", "InsideTransport", "joined"]


def joined(relay: IRelay, address: str, host: str) -> tuple[ILocal, socket.socket]:
    """Return both ends, the relay's first. `address` and `host` are the relay's values for the other end. Raises
    DialFailed (no_fds), also when only the reserve of descriptors is left; nothing stays open then."""
    if not relay.gate.has_room():
        relay.gate.say()
        raise DialFailed("no_fds", "out of file descriptors")
    try:
        near, far = socket.socketpair()
        near.setblocking(False)
        try:
            return relay.take(near, address, host), far
        except OSError:
            far.close()
            raise
    except OSError as failed:
        raise DialFailed("no_fds", Sentence("no pair of sockets: {failed}", failed=failed)) from None


class InsideTransport(PairTransport):
    """The protocol's transport, like that of a TCP connection, with `peer` as the other end and `host` as this one.

    The other end sees a clean end only if the protocol has closed the connection; if the protocol raises, the
    connection is reset. `gone` is called at the end.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: IProtocol,
        near: ILocal,
        peer: IAddress,
        host: IAddress,
        reactor: Any,
        gone: Callable[[], None] = lambda: None,
    ) -> None:
        self._near: Any = near
        self._gone = gone
        self._clock = reactor
        super().__init__(sock, protocol, peer, host, reactor, near.address)
        self._near.partner = _Partner(self)

    def begin(self) -> None:
        """Give the transport to its protocol. If the protocol raises, the connection is reset and the exception reaches
        the caller."""
        try:
            self.protocol.makeConnection(self)
        except BaseException:
            self.abortConnection()
            raise

    # Endings:

    def connectionLost(self, reason: Failure) -> None:
        """Called by Twisted at any end of the connection."""
        if not hasattr(self, "socket"):
            return  # Twisted can call this twice
        if not reason.check(error.ConnectionDone):
            near, self._near.partner = self._near, None
            if not near.gone:
                near.lost()
        try:
            super().connectionLost(reason)
        finally:
            self._gone()

    def reset_by_peer(self) -> None:
        """The other end was reset. As after a TCP reset, nothing more is read or written. The protocol is notified in
        the next turn of the reactor, because the caller is still at work."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self.stopReading()
        self.stopWriting()
        self.doRead = lambda: None  # type: ignore[method-assign]
        self.doWrite = lambda: None  # type: ignore[method-assign]
        self._clock.callLater(0, self.connectionLost, Failure(error.ConnectionLost()))


class DialledTransport(InsideTransport):
    """The same for a protocol that has connected: it is the TLS client."""

    _tlsClientDefault = True


class _Partner:
    """What the relay's end of a pair resets when it is reset itself; see ILocal."""

    __slots__ = ("_transport", "why")

    gone = False

    def __init__(self, transport: InsideTransport) -> None:
        self._transport = transport
        self.why: str | None = None

    def abort(self) -> None:
        self._transport.reset_by_peer()

    lost = abort
