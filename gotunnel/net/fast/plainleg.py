"""A fast leg outside TLS: moves small messages with recv and send, large ones with splice, within the kernel."""

from __future__ import annotations

import os
from socket import MSG_MORE

from gotunnel.net.fast.leg import FastLeg
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.pipes import CHUNK, Pipe
from gotunnel.net.fast.tools import Buffers
from gotunnel.wire.legs import HEADER_BYTES, MAX_DATA_BYTES, LegFrame

__all__ = ["PlainFastLeg"]

BULK = 32 * 1024
"""Bytes from which on splice is cheaper than recv and send."""
FRAMES_AT_ONCE = 4
"""Frames spliced per event, so that one stream does not delay the others."""
_FLAGS = 3  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK


class PlainFastLeg(FastLeg):
    """See FastLeg. While the local socket delivers much data, the leg borrows a pipe for it (`_up`). While large frames
    arrive, the local socket has a pipe for them, which may outlive the stream."""

    bulk_read = 128 * 1024
    _head = b""  # the unsent rest of the header of the frame in `_up`

    # From the local socket to the leg.

    def _room(self, buffers: Buffers) -> memoryview:
        return buffers.local_body[: self.bulk_read]

    def _bulk_out(self, local: FastLocal) -> None:
        if not self._unsent():
            self._up = self._tools.pipes.borrow()
            self._say_much()

    def _splice_out(self, local: FastLocal, pipe: Pipe) -> None:
        try:
            count = os.splice(local.fd, pipe.writer, CHUNK, flags=_FLAGS)
        except BlockingIOError:
            self._return_up()  # splice never gets past the position of an urgent byte, but a read does
            return
        except OSError:
            local.lost()
            return
        if not count:
            self._return_up()
            self._local_ended(local)
            return
        if self._tally is not None:
            self._tally.sent += count
        pipe.held = count
        self._head = count.to_bytes(HEADER_BYTES, "big")
        if self._flush() and count < BULK:
            self._return_up()

    def _flush_pipe(self, pipe: Pipe) -> bool:
        try:
            if self._head:
                self._head = self._head[self._sock.send(self._head, MSG_MORE) :]
            while pipe.held and not self._head:
                pipe.held -= os.splice(pipe.reader, self._sock.fileno(), pipe.held, flags=_FLAGS)
        except BlockingIOError:
            self._set_blocked(True)
            return False
        except OSError:
            return False
        if self._local is None:
            self._return_up()
        return True

    def _unsent(self) -> int:
        pipe = self._up
        return len(self._out) + (len(self._head) + pipe.held if pipe is not None else 0)

    def _return_up(self) -> None:
        pipe, self._up = self._up, None
        self._head = b""
        if pipe is not None:
            self._tools.pipes.give_back(pipe)

    def _leave_poller(self) -> None:
        super()._leave_poller()
        self._return_up()

    def _detach(self, local: FastLocal, *, abort: bool) -> None:
        super()._detach(local, abort=abort)
        if self._up is not None and not self._unsent():
            self._return_up()

    # From the leg to the local socket.

    def _readable(self) -> None:
        local = self._local
        if local is not None and local.pipe is not None:
            self._splice_in(local, local.pipe)
            return
        buffer = self._buffers.from_leg
        try:
            count = self._sock.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._lost_on_read()
            return
        self.last_received = self._clock.seconds()
        self._take(buffer, count)
        if self._left >= BULK:
            self._bulk_in()

    def _bulk_in(self) -> None:
        local = self._local
        if local is not None and local.pipe is None and not local.blocked and self.state in self._delivers:
            local.pipe = self._tools.pipes.borrow()
            local.expect_much()

    def _splice_in(self, local: FastLocal, pipe: Pipe) -> None:
        self.last_received = self._clock.seconds()
        in_vain = bool(self._left)
        for _ in range(FRAMES_AT_ONCE):
            if not self._left and not self._next_large(local):
                return
            try:
                count = os.splice(self._fd, pipe.writer, min(self._left, CHUNK), flags=_FLAGS)
            except BlockingIOError:
                if in_vain:
                    self._return_in(local)  # an urgent byte: see _splice_out
                return
            except OSError:
                count = 0
            if not count:
                self._lost_on_read()
                return
            in_vain = False
            self._left -= count
            pipe.held += count
            meter = self._meter or self._first_bytes()
            if meter is not None:
                meter.received += count
            if self._local is not local:
                return  # _first_bytes() notifies the owner, which may have closed the leg
            try:
                local.drain_pipe()
            except OSError:
                local.lost()
                return
            if local.blocked:
                self._local_is_full()
                return

    def _next_large(self, local: FastLocal) -> bool:
        """Read the next header. Returns True if it announces another large frame; otherwise the pipe is returned."""
        try:
            got = self._sock.recv(HEADER_BYTES - len(self._inbuf))
        except BlockingIOError:
            return False
        except OSError:
            got = b""
        if not got:
            self._lost_on_read()
            return False
        self._inbuf += got
        if len(self._inbuf) < HEADER_BYTES:
            return False
        header = int.from_bytes(self._inbuf, "big")
        if header >> 24 == LegFrame.DATA and header & MAX_DATA_BYTES >= BULK:
            self._inbuf = b""
            self._left = header
            return True
        self._return_in(local)
        self._parse(b"")
        return False

    def _return_in(self, local: FastLocal) -> None:
        pipe, local.pipe = local.pipe, None
        if pipe is not None:
            self._tools.pipes.give_back(pipe)
