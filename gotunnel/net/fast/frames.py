"""Parses what arrives on a leg of the fast relay, in place in the shared buffer. `leg` reads from the wire, `sending`
writes to it."""

from __future__ import annotations

from abc import abstractmethod

from gotunnel.errors import RemoteProtocolError
from gotunnel.interfaces import ILegOwner
from gotunnel.net.fast.local import MOST_PIECES, FastLocal
from gotunnel.net.fast.tools import Tools, read_header
from gotunnel.net.legbase import LegBase
from gotunnel.wire.legs import HEADER_BYTES, KNOWN_HEADERS, MAX_DATA_BYTES, LegFrame, checked_header
from gotunnel.wire.legstate import End, Event, State

__all__ = ["FrameLeg"]


class FrameLeg(LegBase[FastLocal]):
    """The receiving half of a leg."""

    def __init__(self, tools: Tools, end: End, owner: ILegOwner, plain: bool) -> None:
        super().__init__(tools.clock, tools.deadlines, end, owner, plain, tools.dial_timeout)
        self._inbuf = b""  # the beginning of a frame, or all that arrived while this end was dialling
        self._left = 0  # bytes of the current DATA frame still to come
        self._parsing = False
        self._corked = False
        self._dialling = False
        self._full = False  # the local socket takes no more

    @property
    def unfinished(self) -> int:
        """Bytes of the current DATA frame still to come. Needed where a frame carries a datagram: while pieces are
        passed on, each except the last ends its frame, and this tells whether the last one does, too."""
        return self._left

    @abstractmethod
    def _local_is_full(self) -> None:
        """The local socket takes no more for now: stop reading the leg."""

    @abstractmethod
    def _uncork(self) -> None:
        """Send what was queued while corked."""

    def handle_pending(self) -> None:
        """Parse what arrived before this leg was made, or while it was dialling."""
        if self.state is not State.CLOSED:
            self._corked = True
            try:
                self._parse(b"")
            except RemoteProtocolError as breach:
                self.breach(breach.reason)
            finally:
                self._uncork()

    def _take(self, buffer: memoryview, count: int) -> None:
        """Pass on what was read. Most reads bring a piece of one frame or one whole frame."""
        left = self._left
        if left >= count:
            self._left = left - count
            self._pass_on(buffer[:count])
        elif (
            not left and not self._inbuf and not self._dialling and count > HEADER_BYTES and not buffer[0]
            and read_header(buffer, 0)[0] == count - HEADER_BYTES
        ):  # fmt: skip
            self._pass_on(buffer[HEADER_BYTES:count])
        else:
            self._parse(buffer[:count])

    def _pass_on(self, data: memoryview | bytes, *more: memoryview | bytes) -> None:
        """Pass on a piece of a DATA frame; with `more`, pieces of several frames, sent in one system call."""
        if self.state not in self._delivers:
            if self.state not in self._discards:
                self.happen(Event.GOT_DATA)
            return
        meter = self._meter or self._first_bytes()
        if meter is not None:
            meter.received += len(data) + sum(map(len, more)) if more else len(data)
        local = self._local  # read only now: _first_bytes() notifies the owner, which may have closed the leg
        if local is not None:
            try:
                if local.send_all((data, *more)) if more else local.send(data):
                    self._local_is_full()
            except OSError:
                local.lost()

    def _begin_local(self) -> None:
        """Send what the target gets ahead of the visitor's bytes, of which none have arrived."""
        local = self._local
        if local is not None and not local.gone:
            try:
                if local.begin():
                    self._local_is_full()
            except OSError:
                local.lost()

    def _parse(self, data: memoryview | bytes) -> None:
        """Parse what was read. May raise RemoteProtocolError."""
        if self._inbuf:
            data, self._inbuf = self._inbuf + data, b""
        position, end = 0, len(data)
        pieces: list[memoryview | bytes] = []
        self._parsing = True
        try:
            while position < end and not self._dialling:
                if self._left:
                    piece = data[position : position + self._left]
                    position += len(piece)
                    self._left -= len(piece)
                    pieces.append(piece)
                    if len(pieces) == MOST_PIECES:
                        self._pass_on(*pieces)
                        pieces = []
                        if self.state is State.CLOSED:  # DATA was a breach in this state
                            return
                    continue
                start = position + HEADER_BYTES
                if start > end:
                    break
                header = read_header(data, position)[0]
                if 0 < header <= MAX_DATA_BYTES:
                    if pieces and start == end:  # so that `unfinished` is 0 for the last piece, which ends its frame
                        self._pass_on(*pieces)
                        pieces = []
                    self._left = header
                    position = start
                    continue
                if pieces:  # also before a breach is noticed
                    self._pass_on(*pieces)
                    pieces = []
                    if self.state is State.CLOSED:
                        return
                kind, length = KNOWN_HEADERS.get(header) or checked_header(header)
                if start + length > end:
                    break
                position = start + length
                if kind is LegFrame.DONE and position < end:
                    raise RemoteProtocolError("bytes behind DONE")  # the next visitor would receive them
                self.receive(kind, bytes(data[start:position]) if length else b"")
                if self.state is State.CLOSED:
                    return
            if pieces:
                self._pass_on(*pieces)
                if self.state is State.CLOSED:
                    return
        finally:
            self._parsing = False
        self._inbuf = bytes(data[position:])
        if self._local is not None and self._local.begins:
            self._begin_local()
