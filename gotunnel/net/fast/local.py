"""The connection of a visitor or target on a descriptor of the fast relay. Its leg reads it directly. Bytes that the
kernel does not take at once are queued here and sent later, even after the leg has detached. `ending` has the ways it
ends."""

from __future__ import annotations

import os
from collections.abc import Sequence

from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.interfaces import ILocal
from gotunnel.net.fast.ending import EndingLocal
from gotunnel.net.fast.poller import ERR, IN, OUT, RESET
from gotunnel.net.sockets import spare_pacing

__all__ = ["FastLocal"]

MOST_PIECES = 64
"""Pieces in one send. The kernel takes 1,024, but beyond a few it is cheaper to join them."""
_SPLICE_FLAGS = 3  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK


@implementer(ILocal)
class FastLocal(EndingLocal):
    """One connection. A subclass stores the attributes: SlottedLocal or the compiled one."""

    __slots__ = ()

    @property
    def told(self) -> bool:
        """Whether the poller reports everything that happens to it, so that no checks are needed."""
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
        """See ILocal: the next `send` includes it, or `begin` sends it alone."""
        self._out += data
        self.begins = True

    # Called by the leg.

    def begin(self) -> bool:
        """Send what `begin_with` has queued. Returns True if some of it remains queued. Raises OSError if the
        connection was reset."""
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
        """Start or stop telling the leg when there is something to read."""
        self.reading = on = on and not self.read_ended and not self.gone
        mask = self._mask
        if mask is None:
            if not self.gone:
                self._watch(IN if on else 0)
        elif on and not mask & IN:
            self._watch(mask | IN)

    def rest(self) -> None:
        """Stop polling for reads: the peer has ended its direction, and the kernel would report that repeatedly."""
        mask = self._mask
        if mask is not None and mask & IN:
            self._mask = mask = mask & ~IN
            self._poller.set(self.fd, mask)

    def send(self, data: memoryview | bytes) -> bool:
        """Send bytes, or queue them. Returns True if some are queued. Raises OSError if the connection was reset."""
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
        """The same with several pieces, in one system call unless they are very many."""
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
        """Send what the pipe holds, now or later. Raises OSError if the connection was reset."""
        pipe = self.pipe
        if pipe is None:
            return
        try:
            while pipe.held:
                pipe.held -= os.splice(pipe.reader, self.fd, pipe.held, flags=_SPLICE_FLAGS)
        except BlockingIOError:
            self._watch((self._mask or 0) | OUT)

    def expect_much(self) -> None:
        """Prepare for much data."""
        if not self._gets_much and not self.gone:
            self._gets_much = True
            spare_pacing(self.sock)

    def watch_for_loss(self) -> None:
        """Make sure that a reset is noticed while nobody reads."""
        if self._mask is None and not self.gone:
            self._watch(0)
            if not self._poller.tells_errors:
                self._look_at()

    # Called by the poller.

    def handle(self, events: int) -> None:
        """Handle events of the descriptor."""
        if events & OUT:
            self._flush()
        if self.gone:
            return
        if events & IN and self.leg is not None and self.reading:
            self.leg.local_readable()
        elif events & RESET:
            self.lost()
        elif events & ERR and not self.reading:  # if it reads again, the next event reports it
            self._forget()
        elif events & IN and self._mask is not None:
            self._watch(self._mask & ~IN)

    def _forget(self) -> None:
        # Both directions have ended in order, with bytes still to be read. The poller would report that repeatedly, so
        # the descriptor is unregistered until reading resumes.
        self._poller.remove(self.fd)
        self._mask = None
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

    def _watch(self, mask: int) -> None:
        if self._mask is None:
            self._poller.add(self.fd, mask, self.handle)
        else:
            self._poller.set(self.fd, mask)
        self._mask = mask
