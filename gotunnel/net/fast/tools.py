"""What all legs of one fast relay share: the loop, the buffers, the pipes, and the frames that may wait for company."""

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
"""Seconds that an OPENED waits for the target's first bytes, to leave with them; twice that at most. Unless it is
awaited nobody waits for it but a timer of 15 s at the other end; by itself it would cost a send, and the other end a
turn of its loop."""


RECORD_BYTES = 16384
"""The most that one TLS record carries (RFC 8446, 5.1), and that one read returns. What one recv completes is never
more than what it brought and a record that began before; `Buffers.from_leg` has room for that and one read more."""
SEALED_BYTES = 5 + RECORD_BYTES + 1 + 16
"""The same on the wire: with its header, its content type and the tag of the cipher."""

_HEADER = struct.Struct(">I")
read_header = _HEADER.unpack_from
"""Reads the header of a frame: `read_header(buffer, offset)[0]`."""
write_header = _HEADER.pack_into
"""Writes the header of a DATA frame: `write_header(buffer, offset, length)`."""


class Buffers:
    """What is read lands here and leaves before the next event; one set for all legs of a relay.

    Legs and local sockets have a buffer each: while the frames in one are passed on, a leg may be given to the next
    visitor, whose first bytes are read then and there.
    """

    RECORDS = 16
    """TLS records that a full read fills, and that a full buffer of them has room for."""

    def __init__(self) -> None:
        self.cipher = _untouched(self.RECORDS * SEALED_BYTES)
        self.from_leg = _untouched(len(self.cipher) + 2 * RECORD_BYTES)
        self.from_local = _untouched(self.RECORDS * RECORD_BYTES)
        self.local_body = self.from_local[HEADER_BYTES:]
        """With the header before it no byte needs a record of its own."""


def _untouched(size: int) -> memoryview:
    """Return a buffer whose pages are there when they are used; a bytearray's are from the start."""
    return memoryview(mmap.mmap(-1, size))


class Unhurried(Protocol):
    """A leg with an OPENED that may wait."""

    def flush_now(self) -> None: ...


class Tools:
    """What all legs of one relay share."""

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
        self._ripe: list[Unhurried] = []  # since before the timer began to run
        self._flush: IDelayedCall | None = None

    def flush_soon(self, leg: Unhurried) -> None:
        """Flush `leg` after UNHURRIED seconds, unless something else does before."""
        if self._flush is None:
            self._flush = self.clock.callLater(UNHURRIED, self._flush_ripe)
        self._unhurried.append(leg)

    def stop(self) -> None:
        """Give up timers and pipes."""
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
