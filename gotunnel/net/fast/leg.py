"""A leg on a descriptor of the fast relay: frames are read into one shared buffer and passed on from there.
`net.legacts` decides what happens when; subclasses handle the wire (plain or TLS)."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from gotunnel.errors import RemoteProtocolError
from gotunnel.interfaces import ILeg, ILegOwner
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.pipes import Pipe
from gotunnel.net.fast.poller import ERR, IN, OUT
from gotunnel.net.fast.sending import SendingLeg
from gotunnel.net.fast.tools import Buffers, Tools, write_header
from gotunnel.net.fast.wire import Held, take_descriptor
from gotunnel.net.pathwatch import Stall
from gotunnel.net.sockets import is_gone, path_state
from gotunnel.wire.legs import HEADER_BYTES
from gotunnel.wire.legstate import End, Event, State

__all__ = ["FastLeg"]


@implementer(ILeg)
class FastLeg(SendingLeg):
    """One end of a leg. Made by `FastRelay.leg`; lives as long as its connection."""

    def __init__(self, tools: Tools, transport: Any, end: End, owner: ILegOwner, plain: bool) -> None:
        super().__init__(tools, end, owner, plain)
        self._buffers = tools.buffers
        self._landing = self._room(tools.buffers)
        self._stall = Stall(tools.watch.times)
        self._fd = -1
        self._holding: Any
        self._open_wire(transport)

    def begin(self, leftover: bytes) -> None:
        """Take the bytes that arrived behind the handshake, but only after the owner has learned of this leg."""
        if leftover:
            self._inbuf = leftover
            self._clock.callLater(0, self.handle_pending)

    # Called by the poller.

    def handle(self, events: int) -> None:
        """Handle events of the leg's descriptor."""
        self._corked = True
        try:
            if events & OUT:
                self._flush()
            if events & IN and not self._full and not self._dialling:
                self._readable()
            elif events & ERR and self.state is not State.CLOSED:
                self.give_up("the connection broke")
            elif events & IN:
                self._watch(self._mask & ~IN)  # reading is paused, and this is the first event since
        except RemoteProtocolError as breach:
            self.breach(breach.reason)
        finally:
            self._corked = False
            if self._out and not self._unhurried:
                self._uncork()

    def check(self, now: float) -> None:
        """Look for a close that a paused reader does not see, and for sent bytes that are not acknowledged. Called by
        the path watch."""
        if self.state is State.CLOSED:
            return
        path = path_state(self._sock)
        if (self._full or self._dialling) and self._wire_is_gone():
            self.give_up("the other end has closed")
        elif self._stall.dead(path, now):
            self.give_up("what was sent is not acknowledged")
        elif self._quiet() and (path is None or not path.unacknowledged):
            self._watched = False
            self._tools.watch.remove(self)  # until something is sent, or the local socket takes no more
        else:
            if self._local is not None:
                self._local.check(now)
            self._check_queue()

    def _quiet(self) -> bool:
        """Whether nothing is in flight, and the kernel reports everything about both connections by itself."""
        if self._full or self._dialling or self._unsent():
            return False
        return self.state is State.IDLE if self._local is None else self._local.told

    # Called by the local socket.

    def local_readable(self) -> None:
        """Read the local socket, and send. Called only while the leg is not blocked."""
        local = self._local
        if local is None:
            return
        if not self._watched:
            self._be_watched()
        if self._up is not None:
            self._splice_out(local, self._up)
            return
        buffers = self._buffers
        try:
            count = local.sock.recv_into(self._landing)
        except BlockingIOError:
            return
        except OSError:
            local.lost()
            return
        if count:
            if self._tally is not None:
                self._tally.sent += count
            write_header(buffers.from_local, 0, count)
            self._send(buffers.from_local[: HEADER_BYTES + count])
            if count == self.bulk_read:
                self._bulk_out(local)
        else:
            self._local_ended(local)

    def local_drained(self) -> None:
        """The local socket takes bytes again."""
        self._full = False
        self._set_reading()

    def local_lost(self) -> None:
        """The local socket was reset: keep reading the leg, if only to discard."""
        self._corked = True
        try:
            self.local_drained()
            super().local_lost()
        finally:
            self._uncork()

    # What LegBytes requires.

    def _close_connection(self) -> None:
        self._flush()
        self._leave_poller()
        self._holding.loseConnection()

    def _abort_connection(self) -> None:
        self._leave_poller()
        self._holding.abortConnection()

    def _attach(self, local: FastLocal) -> None:
        if local.gone:
            super().local_lost()
            return
        self._full = False
        local.leg = self
        if self._held:
            local.watch_for_loss()
        else:
            self._read_local(local)

    def _read_local(self, local: FastLocal) -> None:
        if not self._blocked:
            local.read_more(True)
            if self.end is End.OPENER:
                self.local_readable()

    def _detach(self, local: FastLocal, *, abort: bool) -> None:
        local.leg = None
        if abort:
            local.abort()
        elif not local.gone:
            local.read_more(False)
        if self._full:
            self.local_drained()

    def _half_close(self, local: FastLocal) -> None:
        local.half_close()
        if self._full:
            self.local_drained()  # no more data will come for it

    def _finish(self, local: FastLocal) -> None:
        local.finish()
        if self._full:
            self.local_drained()

    def _hold(self) -> None:
        self._dialling = True
        if not self._watched:
            self._be_watched()

    def _go_on(self) -> None:
        self._dialling = False
        self._set_reading()
        if self._inbuf and not self._parsing:
            self.handle_pending()

    # For the subclasses.

    def _open_wire(self, transport: Any) -> None:
        """Take over the connection."""
        self._holding = transport
        self._sock = take_descriptor(transport, Held(self.lost), self._tools.watch.keepalive)
        self._fd = self._sock.fileno()
        self._tools.poller.add(self._fd, IN, self.handle)

    def _wire_is_gone(self) -> bool:
        return self._fd >= 0 and is_gone(self._fd, eof_means_gone=True)

    bulk_read = -1
    """A read of exactly this many bytes means that more is waiting; -1: never."""

    def _room(self, buffers: Buffers) -> memoryview:
        """Return the buffer that the local socket is read into."""
        return buffers.local_body

    def _bulk_out(self, local: FastLocal) -> None:
        """The local socket delivers much data at a time."""

    def _readable(self) -> None:
        """Read from the descriptor. May raise RemoteProtocolError."""
        raise NotImplementedError

    def _splice_out(self, local: FastLocal, pipe: Pipe) -> None:
        """Move more of the local socket's data into the pipe `_up`."""
        raise NotImplementedError

    def _local_is_full(self) -> None:
        self._full = True
        if not self._watched:
            self._be_watched()
        self._set_reading()

    def _set_reading(self) -> None:
        # To pause, nothing is done until the next event: most dials are over before there is one.
        if not self._full and not self._dialling and self.state is not State.CLOSED:
            self._watch(self._mask | IN)

    def _lost_on_read(self) -> None:
        self.give_up("the other end closed it")

    def _local_ended(self, local: FastLocal) -> None:
        local.read_ended = True
        local.reading = False
        self._corked = True
        try:
            self.happen(Event.LOCAL_EOF)
        finally:
            self._uncork()
        local.rest()

    def _watch(self, mask: int) -> None:
        if mask != self._mask and self._fd >= 0:
            self._mask = mask
            self._tools.poller.set(self._fd, mask)

    def _leave_poller(self) -> None:
        if self._fd >= 0:
            self._tools.poller.remove(self._fd)
            self._watched = False
            self._tools.watch.remove(self)
            self._fd = -1
