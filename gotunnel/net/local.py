"""A visitor's or a target's connection on a Twisted transport, with TCP's endings kept apart: end of stream, reset, and
closed in order. It does not know what a leg is: it tells a sink."""

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
    """Who has the connection now: a leg."""

    def local_data(self, data: bytes) -> None: ...
    def local_eof(self) -> None: ...
    def local_lost(self) -> None: ...
    def local_closed(self) -> None: ...
    def local_full(self) -> None: ...
    def local_ready(self) -> None: ...


def _plain(host: str) -> str:
    """Return the IPv4 address of an IPv4 visitor of a listener on [::]: access rules and readers know him by it."""
    return str(plain_address(host) or host) if host.startswith("::ffff:") else host


@implementer(IHalfCloseableProtocol, ILocal)
class Local(Protocol):
    """One connection of a visitor or to a target.

    `said` is its address and host where the transport cannot tell them. Until its orderly close it lingers with reset:
    should this process die, the kernel resets it, and nobody takes a cut stream for a complete one. It is made by
    `PortableRelay` and dies with its transport.
    """

    transport: Any

    def __init__(
        self, on_made: Callable[[Local], None], on_lost: Callable[[Local], None], said: tuple[str, str] | None = None
    ) -> None:
        self.address, self.host = said or ("", "")
        self.on_gone: Callable[[], None] = nothing
        self.partner: Local | None = None
        self.why: str | None = None
        self._came_to = ""  # where somebody else is in front, who has said so
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
        self._flows = False  # the transport tells when its buffer is full

    # What Twisted calls.

    def connectionMade(self) -> None:
        """Arm the reset, stop reading, and tell who made us."""
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
        """Pass bytes on. Without a sink nothing is read, so nothing arrives."""
        if self._sink is not None:
            self._sink.local_data(data)

    def readConnectionLost(self) -> None:
        """The other side ended its direction cleanly."""
        self._read_ended = True
        self._reading = False
        if self._sink is not None:
            self._sink.local_eof()

    def writeConnectionLost(self) -> None:
        """Our direction is flushed and ended; if that was the last thing to do, close in order."""
        self._write_ended = True
        if self._finishing:
            self._close_in_order()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, one way or another."""
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
        """See ILocal: the transport sends nothing before the next turn of the reactor."""
        self.transport.write(data)

    # What the leg that has it calls.

    def attach(self, sink: LocalSink) -> None:
        """Tell `sink` from now on, and heed its speed: it hears `local_full` and `local_ready` as our buffer fills."""
        self.on_gone = nothing
        if self.gone:
            sink.local_lost()
            return
        self._sink = sink
        if not self._flows:  # one leg may have given it back to another
            self._flows = True
            self.transport.registerProducer(_Upstream(self), True)

    def detach(self) -> None:
        """Tell nobody any more; what is under way (a finish, an abort) goes on."""
        self._sink = None

    def resume(self) -> None:
        """Read on, unless this direction has ended."""
        if not self._reading and not self._read_ended and not self.gone:
            self._reading = True
            self.transport.resumeProducing()

    def pause(self) -> None:
        """Read nothing until `resume`."""
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
            # A registered producer would be asked for more instead of the socket being shut.
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
        """See ILocal: its end tells who has it."""
        self.abort()

    def check(self, now: float) -> None:
        """Notice a reset that one who does not read is not told of, and one who never takes his last bytes (called by
        the path watch)."""
        if self.gone or self._closed_in_order:
            return
        if not self._reading and is_gone(self.transport.fileno(), eof_means_gone=False):
            self.transport.abortConnection()
        elif self._finishing:
            left = unsent_bytes(self.transport) + held_by_kernel(self.transport.getHandle())
            if self._last.refused(left, now):
                self.transport.abortConnection()

    def _close_in_order(self) -> None:
        # Everything is in the kernel and FIN behind it: from here on a death of this process loses nothing.
        self._closed_in_order = True
        linger_off(self.transport.getHandle())
        self.transport.loseConnection()


class _Upstream:
    """Twisted's word for "your buffer is full", passed on to the sink."""

    def __init__(self, local: Local) -> None:
        self._local = local

    def pauseProducing(self) -> None:
        if self._local._sink is not None:
            self._local._sink.local_full()

    def resumeProducing(self) -> None:
        if self._local._sink is not None:
            self._local._sink.local_ready()

    def stopProducing(self) -> None:
        """The connection is being lost; connectionLost says so."""
