"""Pipes that `splice(2)` moves bytes through, kernel to kernel. They are borrowed while much flows and come back
empty."""

from __future__ import annotations

import fcntl
import os

from gotunnel.net.descriptors import Gate

__all__ = ["CHUNK", "Pipe", "Pipes"]

CHUNK = 1 << 20
"""Bytes that one splice moves at most, and the size that a pipe is asked to have."""
KEPT = 32
"""Empty pipes kept for the next stream. Each one can hold kernel memory of its size."""
_F_SETPIPE_SZ = 1031  # fcntl.h; in Python's fcntl only since 3.10 and not everywhere


class Pipe:
    """One pipe. `held` counts the bytes in it; whoever splices keeps it right."""

    __slots__ = ("held", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            fcntl.fcntl(self.writer, _F_SETPIPE_SZ, CHUNK)
        except OSError:
            pass  # over the user's share of pipe memory: the default size works too, with more calls

    def close(self) -> None:
        """Close both ends; what was in it is lost."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """The pool of one relay. Descriptors of the reserve do not become pipes: bytes travel without them too."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._free: list[Pipe] = []

    def borrow(self) -> Pipe | None:
        """Return an empty pipe, or None when the process has no descriptors for one."""
        if self._free:
            return self._free.pop()
        try:
            pipe = Pipe()
        except OSError:
            return None
        if self._gate.beyond(pipe.writer):
            pipe.close()
            return None
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take a pipe back. One that still holds bytes is closed: they must never reach another stream."""
        if pipe.held or len(self._free) >= KEPT:
            pipe.close()
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Close what is kept."""
        while self._free:
            self._free.pop().close()
