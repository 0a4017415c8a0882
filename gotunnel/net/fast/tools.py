"""What all legs of one fast relay share: the loop, buffers, pipes, and the timer for frames that may wait."""

from __future__ import annotations

import mmap
import struct
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.net.deadlines import Deadlines
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.fast.pipes import Pipes
from gotunnel.net.fast.poller import Poller
from gotunnel.net.pathwatch import PathWatch
from gotunnel.wire.legs import HEADER_BYTES

__all__ = ["Buffers", "Tools", "read_header", "write_header"]

UNHURRIED = 0.003
"""Seconds that an OPENED waits for the target's first bytes, to leave with them; at most twice that. Unless it is
awaited, only a timer of 15 s at the other end depends on it. Sent alone, it would cost a send here and a turn of the
loop at the other end."""


RECORD_BYTES = 16384
"""The most that one TLS record carries (RFC 8446, 5.1) and one read returns. One recv can complete at most the bytes it
brought and one record begun before; `Buffers.from_leg` has room for that and one more read."""
SEALED_BYTES = 5 + RECORD_BYTES + 1 + 16
"""The same on the wire: with header, content type, and the cipher's tag."""

_HEADER = struct.Struct(">I")
read_header = _HEADER.unpack_from
"""Reads the header of a frame: `read_header(buffer, offset)[0]`."""
write_header = _HEADER.pack_into
"""Writes the header of a DATA frame: `write_header(buffer, offset, length)`."""


class Buffers:
    """Buffers for reading, one set for all legs of a relay. Data in them is passed on before the next event.

    Legs and local sockets have separate buffers: while the frames in one are passed on, a leg may be given to its next
    visitor, whose first bytes are then read at once.
    """

    RECORDS = 16
    """TLS records that a full read yields, and that a full buffer has room for."""

    def __init__(self) -> None:
        self.cipher = _untouched(self.RECORDS * SEALED_BYTES)
        self.from_leg = _untouched(len(self.cipher) + 2 * RECORD_BYTES)
        self.from_local = _untouched(self.RECORDS * RECORD_BYTES)
        self.local_body = self.from_local[HEADER_BYTES:]
        """The space for data, behind the space for a frame's header. Header and data together fill whole TLS records,
        so that no byte needs one more."""


def _untouched(size: int) -> memoryview:
    """Return a buffer whose memory is allocated when it is used; a bytearray's would be from the start."""
    return memoryview(mmap.mmap(-1, size))


class Unhurried(Protocol):
    """A leg with an OPENED that may wait."""

    def flush_now(self) -> None: ...


class Tools:
    """The shared objects of one relay's legs."""

    def __init__(
        self,
        clock: IReactorTime,
        poller: Poller,
        watch: PathWatch,
        dial_timeout: float,
        descriptors: Descriptors | None = None,
    ) -> None:
        self.clock = clock
        self.poller = poller
        self.watch = watch
        self.dial_timeout = dial_timeout
        self.deadlines = Deadlines(clock)
        self.buffers = Buffers()
        self.descriptors = descriptors or Descriptors(clock)
        self.pipes = Pipes(self.descriptors.visitors)
        self._unhurried: list[Unhurried] = []
        self._ripe: list[Unhurried] = []  # those added before the timer was started
        self._flush: IDelayedCall | None = None

    def flush_soon(self, leg: Unhurried) -> None:
        """Flush `leg` after UNHURRIED seconds, at most twice that, unless something else does before."""
        if self._flush is None:
            self._flush = self.clock.callLater(UNHURRIED, self._flush_ripe)
        self._unhurried.append(leg)

    def stop(self) -> None:
        """Stop the timers and close the pipes."""
        self.watch.stop()
        self.deadlines.stop_all()
        self.pipes.close()
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    def _flush_ripe(self) -> None:
        self._flush = None
        legs, self._ripe, self._unhurried = self._ripe, self._unhurried, []
        if self._ripe:
            self._flush = self.clock.callLater(UNHURRIED, self._flush_ripe)
        for leg in legs:
            leg.flush_now()
