"""Connections whose one end is a leg's and whose other end is a Twisted protocol of this process: a pair of unix
sockets, so that both relays carry them as they carry all others, and the kernel holds back whoever is too fast. What
does not travel through unix sockets is a reset: each end tells the other of it."""

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
    """Return both ends, the one that the relay has first; `address` and `host` are what it says of the other. Raises
    DialFailed (no_fds), also when only the reserve is left of the descriptors; then nothing is held."""
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
    """What the protocol has: a transport as that of a TCP connection, whose other end is `peer`, and this one `host`.

    It ends cleanly at the other end only if the protocol has closed it: one that raises resets it. `gone` is called
    when it is over.
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
        """Give it to its protocol. What that raises goes to the caller, and it is reset."""
        try:
            self.protocol.makeConnection(self)
        except BaseException:
            self.abortConnection()
            raise

    # Endings.

    def connectionLost(self, reason: Failure) -> None:
        """Called by Twisted when it is over, one way or another."""
        if not hasattr(self, "socket"):
            return  # Twisted can come here twice
        if not reason.check(error.ConnectionDone):
            near, self._near.partner = self._near, None
            if not near.gone:
                near.lost()
        try:
            super().connectionLost(reason)
        finally:
            self._gone()

    def reset_by_peer(self) -> None:
        """The other end was reset. As after a reset of TCP nothing more is read or written; the protocol hears of it in
        the next turn, since whoever says so is in the midst of something."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self.stopReading()
        self.stopWriting()
        self.doRead = lambda: None  # type: ignore[method-assign]
        self.doWrite = lambda: None  # type: ignore[method-assign]
        self._clock.callLater(0, self.connectionLost, Failure(error.ConnectionLost()))


class DialledTransport(InsideTransport):
    """The same where the protocol is the one that has connected."""

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
