"""How a local connection of the fast relay ends: half-closed, closed in order after its queued bytes, or reset by
either side. It also declares the attributes of a local connection."""

from __future__ import annotations

import socket
from collections.abc import Callable
from socket import SocketType
from typing import Any, Protocol

from gotunnel.net.fast.pipes import Pipe
from gotunnel.net.fast.poller import Poller
from gotunnel.net.fast.tools import Tools
from gotunnel.net.pathwatch import LastBytes
from gotunnel.net.sockets import LINGER_OFF, held_by_kernel, is_gone

__all__ = ["EndingLocal", "LocalLeg"]

_ELSEWHERE: tuple[str, ...] = ()


class LocalLeg(Protocol):
    """The leg that uses a local connection."""

    def local_readable(self) -> None: ...
    def local_drained(self) -> None: ...
    def local_lost(self) -> None: ...
    def local_closed(self) -> None: ...


class EndingLocal:
    """The base of FastLocal. The socket lingers with reset until its orderly close (see net.local)."""

    __slots__ = _ELSEWHERE

    fd: int
    address: str
    host: str
    sock: SocketType
    on_gone: Callable[[], None]
    partner: EndingLocal | None
    why: str | None
    leg: LocalLeg | None
    pipe: Pipe | None
    read_ended: bool
    reading: bool
    """Whether the leg wants to know when there is something to read. The poller's mask is cleared only on the next
    event: mostly a paused socket is resumed or closed before that."""
    begins: bool
    """Whether `begin_with` has queued bytes that were not tried to send yet."""
    finishing: bool
    gone: bool
    _tools: Tools
    _poller: Poller
    _others: set[Any]  # all local connections of the relay
    _mask: int | None  # None: not registered with the poller
    _out: bytearray
    _gets_much: bool
    _half_closing: bool
    _came_to: str  # set if a proxy in front has named the destination
    _looked_at: bool  # whether the path watch checks it
    _last: LastBytes | None
    _shut: bool

    @property
    def blocked(self) -> bool:
        """Whether bytes are queued here, so that the leg must wait."""
        return bool(self._out) or (self.pipe is not None and self.pipe.held > 0)

    def half_close(self) -> None:
        """Send end of stream after the queued bytes."""
        self._half_closing = True
        if not self.blocked:
            self._shut_down()

    def finish(self) -> None:
        """Close in order after the queued bytes; then call `local_closed`."""
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

    def lost(self) -> None:
        """Close after a reset by the other side, and tell the leg. Does nothing if it has closed."""
        if self.gone:
            return
        leg = self.leg
        self._close()
        if leg is not None:
            leg.local_lost()
        self.on_gone()
        self._reset_partner()

    def check(self, now: float) -> None:
        """Look for a reset that the poller does not report, and for last bytes that are not taken."""
        if self.gone:
            return
        gone = (not self.reading or not self._mask) and is_gone(self.fd, eof_means_gone=False)
        if gone or (self._last is not None and self._last.refused(self._left, now)):
            self.lost()

    @property
    def _left(self) -> int:
        return len(self._out) + (0 if self.pipe is None else self.pipe.held) + held_by_kernel(self.sock)

    def _shut_down(self) -> None:
        if self.gone:
            return
        try:
            if not self._shut:
                self._shut = True
                self.sock.shutdown(socket.SHUT_WR)
            if self.finishing:
                # The kernel has all bytes and the FIN: from here on the death of this process loses nothing.
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
        except OSError:
            # It was reset. `half_close` does not call back; the descriptor's own event will report it.
            if self.finishing:
                self.lost()
            return
        if self.finishing:
            leg = self.leg
            self._close()
            if leg is not None:
                leg.local_closed()
            self.on_gone()

    def _finish_later(self) -> None:
        self._last = LastBytes()
        self._look_at()

    def _reset_partner(self) -> None:
        if self.partner is not None and not self.partner.gone:
            self.partner.lost()

    def _close(self) -> None:
        self.gone = True
        self.leg = None
        if self._mask is not None:
            self._poller.remove(self.fd)
            self._mask = None
        if self.pipe is not None:
            self._tools.pipes.give_back(self.pipe)
            self.pipe = None
        if self._looked_at:
            self._tools.watch.remove(self)
        self.fd = -1  # the number may belong to another connection a moment later
        self.sock.close()
        self._others.discard(self)

    def _look_at(self) -> None:
        self._looked_at = True
        self._tools.watch.add(self)
