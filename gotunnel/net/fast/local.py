"""A visitor's or a target's connection on a descriptor of the fast relay. Its leg reads it directly; what it could not
take at once it sends by itself, also after its leg has left it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from socket import SocketType
from typing import Protocol

from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.interfaces import ILocal
from gotunnel.net.fast.pipes import Pipe
from gotunnel.net.fast.poller import ERR, IN, OUT, RESET, Poller
from gotunnel.net.fast.tools import Tools
from gotunnel.net.pathwatch import LastBytes
from gotunnel.net.quiet import nothing
from gotunnel.net.sockets import LINGER_OFF, held_by_kernel, is_gone, spare_pacing

__all__ = ["FastLocal", "LocalLeg", "SlottedLocal"]

MOST_PIECES = 64
"""Pieces in one send. The kernel takes 1,024; beyond a few it is cheaper to join them."""
_SPLICE_FLAGS = 3  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK


_ELSEWHERE: tuple[str, ...] = ()


class LocalLeg(Protocol):
    """Who has the connection: a leg."""

    def local_readable(self) -> None: ...
    def local_drained(self) -> None: ...
    def local_lost(self) -> None: ...
    def local_closed(self) -> None: ...


@implementer(ILocal)
class FastLocal:
    """One connection. The socket lingers with reset until its orderly close (see net.local). Where its attributes are
    kept is for the subclass: this one's or the compiled one."""

    __slots__ = _ELSEWHERE

    fd: int
    address: str
    host: str
    sock: SocketType
    on_gone: Callable[[], None]
    partner: FastLocal | None
    why: str | None
    leg: LocalLeg | None
    pipe: Pipe | None
    read_ended: bool
    reading: bool
    """Whether the leg is told when there is something to read. The poller is told so only when it matters: what is
    paused is mostly read on, or closed, before its next event."""
    begins: bool
    """Whether `begin_with` has said something that nobody has tried to send yet."""
    finishing: bool
    gone: bool
    _tools: Tools
    _poller: Poller
    _others: set[FastLocal]
    _mask: int | None  # None: not in the poller
    _out: bytearray
    _gets_much: bool
    _half_closing: bool
    _came_to: str  # where somebody else is in front, who has said so
    _looked_at: bool  # by the path watch
    _last: LastBytes | None
    _shut: bool

    @property
    def blocked(self) -> bool:
        """Whether bytes wait here: who has more must wait too."""
        return bool(self._out) or (self.pipe is not None and self.pipe.held > 0)

    @property
    def told(self) -> bool:
        """Whether the poller tells whatever happens to it, so that nobody need look."""
        return self.reading and bool(self._mask) and self._last is None

    def fileno(self) -> int:
        """See ILocal."""
        return self.fd

    def stand_for(self, address: str, host: str, destination: str) -> None:
        """See ILocal."""
        self.address, self.host, self._came_to = address, host, destination

    def destination(self) -> str:
        """See ILocal."""
        if self._came_to:
            return self._came_to
        try:
            name = self.sock.getsockname()
        except OSError:
            return ""
        if not isinstance(name, tuple):
            return ""  # a unix socket's is a path
        return str(HostPort(name[0].removeprefix("::ffff:"), name[1]))

    def begin_with(self, data: bytes) -> None:
        """See ILocal: the next `send` takes it along, or `begin` sends it alone."""
        self._out += data
        self.begins = True

    # Called by the leg.

    def begin(self) -> bool:
        """Send what `begin_with` has said, now or later; True when some of it waits. Raises OSError when the connection
        is reset."""
        self.begins = False
        try:
            del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            pass
        if self._out:
            self._watch((self._mask or 0) | OUT)
        elif self._half_closing:
            self._shut_down()
        return bool(self._out)

    def read_more(self, on: bool) -> None:
        """Tell the leg when there is something to read, or do not."""
        self.reading = on = on and not self.read_ended and not self.gone
        mask = self._mask
        if mask is None:
            if not self.gone:
                self._watch(IN if on else 0)
        elif on and not mask & IN:
            self._watch(mask | IN)

    def rest(self) -> None:
        """It has ended its direction, of which the kernel would tell again and again."""
        mask = self._mask
        if mask is not None and mask & IN:
            self._mask = mask = mask & ~IN
            self._poller.set(self.fd, mask)

    def send(self, data: memoryview | bytes) -> bool:
        """Send bytes, now or later; True when some of them wait. Raises OSError when the connection is reset."""
        if self._out:
            self._out += data
            return self.begin() if self.begins else True
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return False
        self._out += data[sent:]
        self._watch((self._mask or 0) | OUT)
        return True

    def send_all(self, pieces: Sequence[memoryview | bytes]) -> bool:
        """The same with several pieces, in one call of the system if there are not very many."""
        if self._out or len(pieces) > MOST_PIECES:
            return self.send(b"".join(pieces))
        try:
            sent = self.sock.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            else:
                self._out += piece[sent:]
                sent = 0
        if not self._out:
            return False
        self._watch((self._mask or 0) | OUT)
        return True

    def drain_pipe(self) -> None:
        """Send what the pipe holds, now or later. Raises OSError when the connection is reset."""
        pipe = self.pipe
        if pipe is None:
            return
        try:
            while pipe.held:
                pipe.held -= os.splice(pipe.reader, self.fd, pipe.held, flags=_SPLICE_FLAGS)
        except BlockingIOError:
            self._watch((self._mask or 0) | OUT)

    def expect_much(self) -> None:
        """Much is coming for it."""
        if not self._gets_much and not self.gone:
            self._gets_much = True
            spare_pacing(self.sock)

    def half_close(self) -> None:
        """Send end of stream behind what waits."""
        self._half_closing = True
        if not self.blocked:
            self._shut_down()

    def finish(self) -> None:
        """Close in order behind what waits; then `local_closed`."""
        self.finishing = self._half_closing = True
        if self.blocked:
            self._finish_later()
        else:
            self._shut_down()

    def abort(self) -> None:
        """Reset the connection."""
        if not self.gone:
            self._close()
            self.on_gone()
            self._reset_partner()

    def watch_for_loss(self) -> None:
        """Nobody reads it for now: still notice a reset."""
        if self._mask is None and not self.gone:
            self._watch(0)
            if not self._poller.tells_errors:
                self._look_at()

    def check(self, now: float) -> None:
        """Look for a reset that a poller on another reactor does not tell, and for last bytes that nobody takes."""
        if self.gone:
            return
        gone = (not self.reading or not self._mask) and is_gone(self.fd, eof_means_gone=False)
        if gone or (self._last is not None and self._last.refused(self._left, now)):
            self.lost()

    @property
    def _left(self) -> int:
        return len(self._out) + (0 if self.pipe is None else self.pipe.held) + held_by_kernel(self.sock)

    # Called by the poller.

    def handle(self, events: int) -> None:
        """Something happened on the descriptor."""
        if events & OUT:
            self._flush()
        if self.gone:
            return
        if events & IN and self.leg is not None and self.reading:
            self.leg.local_readable()
        elif events & RESET:
            self.lost()
        elif events & ERR and not self.reading:  # else it was read on after this event was taken: the next one tells
            self._forget()
        elif events & IN and self._mask is not None:
            self._watch(self._mask & ~IN)

    def _forget(self) -> None:
        # Both directions have ended in order, with bytes still to be read. That would be told again and again: the
        # poller forgets the descriptor until it is read on.
        self._poller.remove(self.fd)
        self._mask = None
        self._look_at()

    def _finish_later(self) -> None:
        self._last = LastBytes()
        self._look_at()

    def _flush(self) -> None:
        try:
            if self._out:
                del self._out[: self.sock.send(self._out)]
            if not self._out and self.pipe is not None:
                self.drain_pipe()
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        if self.blocked:
            return
        self._watch((self._mask or 0) & ~OUT)
        if self._half_closing:
            self._shut_down()
        elif self.leg is not None:
            self.leg.local_drained()

    def _shut_down(self) -> None:
        if self.gone:
            return
        try:
            if not self._shut:
                self._shut = True
                self.sock.shutdown(socket.SHUT_WR)
            if self.finishing:
                # All is in the kernel and FIN behind it: from here on a death of this process loses nothing.
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
        except OSError:
            # It was reset. Whoever half-closes is not called back; the descriptor's own event will say it.
            if self.finishing:
                self.lost()
            return
        if self.finishing:
            leg = self.leg
            self._close()
            if leg is not None:
                leg.local_closed()
            self.on_gone()

    def lost(self) -> None:
        """It was reset: give the descriptor back and tell the leg. Harmless when it is gone."""
        if self.gone:
            return
        leg = self.leg
        self._close()
        if leg is not None:
            leg.local_lost()
        self.on_gone()
        self._reset_partner()

    def _reset_partner(self) -> None:
        if self.partner is not None and not self.partner.gone:
            self.partner.lost()

    def _close(self) -> None:
        self.gone = True
        self.leg = None
        if self._mask is not None:
            self._poller.remove(self.fd, closing=True)
            self._mask = None
        if self.pipe is not None:
            self._tools.pipes.give_back(self.pipe)
            self.pipe = None
        if self._looked_at:
            self._tools.watch.remove(self)
        self.fd = -1  # the number may be another connection's a moment later
        self.sock.close()
        self._others.discard(self)

    def _look_at(self) -> None:
        self._looked_at = True
        self._tools.watch.add(self)

    def _watch(self, mask: int) -> None:
        if self._mask is None:
            self._poller.add(self.fd, mask, self.handle)
        else:
            self._poller.set(self.fd, mask)
        self._mask = mask


class SlottedLocal(FastLocal):
    """The one in Python."""

    __slots__ = (
        "_came_to", "_gets_much", "_half_closing", "_last", "_looked_at", "_mask", "_others", "_out", "_poller",
        "_shut", "_tools", "address", "begins", "fd", "finishing", "gone", "host", "leg", "on_gone", "partner",
        "pipe", "read_ended", "reading", "sock", "why",
    )  # fmt: skip

    def __init__(
        self,
        sock: SocketType,
        address: str,
        host: str,
        tools: Tools,
        others: set[FastLocal],
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.address = address
        self.host = host
        self.on_gone = nothing
        self.partner = None
        self.why = None
        self.leg = None
        self.pipe = None
        self.read_ended = False
        self.reading = False
        self.begins = False
        self.finishing = False
        self.gone = False
        self._tools = tools
        self._poller = tools.poller
        self._others = others
        self._mask = None
        self._out = bytearray()
        self._half_closing = False
        self._gets_much = False
        self._came_to = ""
        self._looked_at = False
        self._last = None
        self._shut = False
