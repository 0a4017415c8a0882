"""What arrives on a leg of the fast relay, taken apart where it lies in the shared buffer. How it arrives, and how
anything leaves, is in `leg`."""

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
        self._inbuf = b""  # the beginning of a frame, or all that came while this end dials
        self._left = 0  # bytes of the current DATA frame still to come
        self._parsing = False
        self._corked = False
        self._dialling = False
        self._full = False  # the local socket takes no more

    @property
    def unfinished(self) -> int:
        """Bytes of the current DATA frame still to come, for a local connection to which a frame is a datagram: while
        it is given pieces, each but the last of them is the end of its frame, and this says whether that one is."""
        return self._left

    @abstractmethod
    def _local_is_full(self) -> None:
        """It takes no more for now: do not read the leg."""

    @abstractmethod
    def _uncork(self) -> None:
        """Let out what was written meanwhile."""

    def handle_pending(self) -> None:
        """Take what arrived before this leg was made."""
        if self.state is not State.CLOSED:
            self._corked = True
            try:
                self._parse(b"")
            except RemoteProtocolError as breach:
                self.breach(breach.reason)
            finally:
                self._uncork()

    def _take(self, buffer: memoryview, count: int) -> None:
        """Pass on what was read. Most reads bring a piece of one frame, or one whole frame."""
        left = self._left
        if left >= count:
            self._left = left - count
            self._pass_on(buffer[:count])
        elif (
            not left and not self._inbuf and count > HEADER_BYTES and not buffer[0]
            and read_header(buffer, 0)[0] == count - HEADER_BYTES
        ):  # fmt: skip
            self._pass_on(buffer[HEADER_BYTES:count])
        else:
            self._parse(buffer[:count])

    def _pass_on(self, data: memoryview | bytes, *more: memoryview | bytes) -> None:
        """A piece of a DATA frame; with `more`, pieces of several, which leave in one call of the system."""
        if self.state not in self._delivers:
            if self.state not in self._discards:
                self.happen(Event.GOT_DATA)
            return
        meter = self._meter or self._first_bytes()
        if meter is not None:
            meter.received += len(data) + sum(map(len, more)) if more else len(data)
        local = self._local  # behind the owner, who was told of the first ones and may have closed the leg
        if local is not None:
            try:
                if local.send_all((data, *more)) if more else local.send(data):
                    self._local_is_full()
            except OSError:
                local.lost()

    def _begin_local(self) -> None:
        """The target is to hear something ahead of the visitor's bytes, and none of those are here."""
        local = self._local
        if local is not None and not local.gone:
            try:
                if local.begin():
                    self._local_is_full()
            except OSError:
                local.lost()

    def _parse(self, data: memoryview | bytes) -> None:
        """Take apart what was read. May raise RemoteProtocolError."""
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
                        if self.state is State.CLOSED:  # they were not expected
                            return
                    continue
                start = position + HEADER_BYTES
                if start > end:
                    break
                header = read_header(data, position)[0]
                if 0 < header <= MAX_DATA_BYTES:
                    if pieces and start == end:  # the last of them is whole: see `unfinished`
                        self._pass_on(*pieces)
                        pieces = []
                    self._left = header
                    position = start
                    continue
                if pieces:  # ahead of a breach, too
                    self._pass_on(*pieces)
                    pieces = []
                    if self.state is State.CLOSED:
                        return
                kind, length = KNOWN_HEADERS.get(header) or checked_header(header)
                if start + length > end:
                    break
                position = start + length
                if kind is LegFrame.DONE and position < end:
                    raise RemoteProtocolError("bytes behind DONE")  # they would reach the next visitor
                self.receive(kind, bytes(data[start:position]) if length else b"")
                if self.state is State.CLOSED:
                    return
            if pieces:
                self._pass_on(*pieces)
        finally:
            self._parsing = False
        self._inbuf = bytes(data[position:])
        if self._local is not None and self._local.begins:
            self._begin_local()
