"""The connection of a visitor or target on a Twisted transport. It reports TCP's endings separately: end of stream,
reset, and orderly close. It does not know legs: it reports to a sink."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import HostPort, plain_address
from gotunnel.interfaces import ILocal
from gotunnel.net.pathwatch import LastBytes
from gotunnel.net.quiet import nothing
from gotunnel.net.sockets import held_by_kernel, is_gone, linger_off, linger_reset, set_keepalive, set_nodelay
from gotunnel.net.transports import close_as_lingering, unsent_bytes

__all__ = ["Local", "LocalSink"]


class LocalSink(TypingProtocol):
    """The current user of the connection: a leg, or one half of a joint."""

    def local_data(self, data: bytes) -> None: ...
    def local_eof(self) -> None: ...
    def local_lost(self) -> None: ...
    def local_closed(self) -> None: ...
    def local_full(self) -> None: ...
    def local_ready(self) -> None: ...


def _plain(host: str) -> str:
    """Return the plain IPv4 address of an IPv4 visitor on [::], as access rules and people know it."""
    return str(plain_address(host) or host) if host.startswith("::ffff:") else host


@implementer(IHalfCloseableProtocol, ILocal)
class Local(Protocol):
    """One connection of a visitor or to a target.

    `said` is its address and host, if the transport does not have them. Until its orderly close it lingers with reset:
    if this process dies, the kernel resets the connection, and nobody takes a truncated stream for a complete one. It
    is made by `PortableRelay` and lives as long as its transport.
    """

    transport: Any

    def __init__(
        self, on_made: Callable[[Local], None], on_lost: Callable[[Local], None], said: tuple[str, str] | None = None
    ) -> None:
        self.address, self.host = said or ("", "")
        self.on_gone: Callable[[], None] = nothing
        self.partner: Local | None = None
        self.why: str | None = None
        self._came_to = ""  # set if a proxy in front has named the destination
        self.gone = False
        self._on_made = on_made
        self._on_lost = on_lost
        self._sink: LocalSink | None = None
        self._read_ended = False
        self._write_ended = False
        self._half_closing = False
        self._finishing = False
        self._last = LastBytes()
        self._reading = False
        self._closed_in_order = False
        self._flows = False  # whether the transport reports when its buffer is full

    # Called by Twisted.

    def connectionMade(self) -> None:
        """Arm the reset, pause reading, and report to the maker."""
        sock: socket.socket = self.transport.getHandle()
        linger_reset(sock)
        close_as_lingering(self.transport)
        set_nodelay(sock)
        set_keepalive(sock)
        self.transport.pauseProducing()
        if not self.address:
            peer = self.transport.getPeer()
            self.host = _plain(getattr(peer, "host", ""))
            self.address = str(HostPort(self.host, peer.port)) if self.host else "unix"
        self._on_made(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on. Nothing is read without a sink, so nothing arrives then."""
        if self._sink is not None:
            self._sink.local_data(data)

    def readConnectionLost(self) -> None:
        """The other side has ended its direction cleanly."""
        self._read_ended = True
        self._reading = False
        if self._sink is not None:
            self._sink.local_eof()

    def writeConnectionLost(self) -> None:
        """Our direction is flushed and ended. If nothing else is left to do, close in order."""
        self._write_ended = True
        if self._finishing:
            self._close_in_order()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has closed, in order or not."""
        self.gone = True
        sink, self._sink = self._sink, None
        self._on_lost(self)
        if self.partner is not None and not self._closed_in_order:
            self.partner.abort()
        if sink is not None:
            if self._closed_in_order:
                sink.local_closed()
            else:
                sink.local_lost()
        self.on_gone()

    def fileno(self) -> int:
        """See ILocal."""
        fd: int = self.transport.fileno()
        return fd

    def stand_for(self, address: str, host: str, destination: str) -> None:
        """See ILocal."""
        self.address, self.host, self._came_to = address, host, destination

    def destination(self) -> str:
        """See ILocal."""
        if self._came_to:
            return self._came_to
        here = None if self.gone else self.transport.getHost()
        host = _plain(getattr(here, "host", ""))
        return str(HostPort(host, here.port)) if here is not None and host else ""

    def begin_with(self, data: bytes) -> None:
        """See ILocal. The transport sends nothing before the next turn of the reactor."""
        self.transport.write(data)

    # Called by the leg that uses it.

    def attach(self, sink: LocalSink) -> None:
        """Report to `sink` from now on. It gets `local_full` and `local_ready` as our buffer fills and drains."""
        self.on_gone = nothing
        if self.gone:
            sink.local_lost()
            return
        self._sink = sink
        if not self._flows:  # a second leg may attach it after a first has given it back
            self._flows = True
            self.transport.registerProducer(_Upstream(self), True)

    def detach(self) -> None:
        """Report to nobody any more. A finish or abort in progress goes on."""
        self._sink = None

    def resume(self) -> None:
        """Read, unless this direction has ended."""
        if not self._reading and not self._read_ended and not self.gone:
            self._reading = True
            self.transport.resumeProducing()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if self._reading:
            self._reading = False
            self.transport.pauseProducing()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)

    def half_close(self) -> None:
        """End our direction once everything is written; the other one goes on."""
        if not self._half_closing and not self.gone:
            self._half_closing = True
            # With a registered producer, Twisted would ask it for more instead of shutting the socket.
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def finish(self) -> None:
        """Close in order once everything is written and both directions have ended."""
        self._finishing = True
        self.half_close()
        if self._write_ended and not self.gone:
            self._close_in_order()

    def abort(self) -> None:
        """Reset the connection at once."""
        if not self.gone and not self._closed_in_order:
            self.transport.abortConnection()

    def lost(self) -> None:
        """See ILocal: the connection's end reports it to the sink."""
        self.abort()

    def check(self, now: float) -> None:
        """Look for a reset while reading is paused, and for last bytes that are never taken (called by the path
        watch)."""
        if self.gone or self._closed_in_order:
            return
        if not self._reading and is_gone(self.transport.fileno(), eof_means_gone=False):
            self.transport.abortConnection()
        elif self._finishing:
            left = unsent_bytes(self.transport) + held_by_kernel(self.transport.getHandle())
            if self._last.refused(left, now):
                self.transport.abortConnection()

    def _close_in_order(self) -> None:
        # The kernel has all bytes and the FIN: from here on the death of this process loses nothing.
        self._closed_in_order = True
        linger_off(self.transport.getHandle())
        self.transport.loseConnection()


class _Upstream:
    """Tells the sink whether our transport's buffer is full."""

    def __init__(self, local: Local) -> None:
        self._local = local

    def pauseProducing(self) -> None:
        if self._local._sink is not None:
            self._local._sink.local_full()

    def resumeProducing(self) -> None:
        if self._local._sink is not None:
            self._local._sink.local_ready()

    def stopProducing(self) -> None:
        """Do nothing: connectionLost follows."""
