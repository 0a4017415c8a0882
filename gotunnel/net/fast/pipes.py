"""Pipes through which `splice(2)` moves bytes within the kernel. They are borrowed for large transfers and returned
empty."""

from __future__ import annotations

import fcntl
import os

from gotunnel.net.descriptors import Gate

__all__ = ["CHUNK", "Pipe", "Pipes"]

CHUNK = 1 << 20
"""The most bytes that one splice moves, and the size requested for a pipe."""
KEPT = 32
"""Empty pipes kept for later streams. Each may hold kernel memory of its size."""
_F_SETPIPE_SZ = 1031  # fcntl.h; not in every Python's fcntl module


class Pipe:
    """One pipe. `held` is the number of bytes in it; whoever splices keeps it up to date."""

    __slots__ = ("held", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            fcntl.fcntl(self.writer, _F_SETPIPE_SZ, CHUNK)
        except OSError:
            pass  # the user's limit of pipe memory is reached: the default size works, too, with more system calls

    def close(self) -> None:
        """Close both ends; bytes in it are lost."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """The pipe pool of one relay. It does not use the reserve of descriptors: bytes can move without pipes."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._free: list[Pipe] = []

    def borrow(self) -> Pipe | None:
        """Return an empty pipe, or None if there are no descriptors for one."""
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
        """Take a pipe back. One that still holds bytes is closed, since they must never reach another stream."""
        if pipe.held or len(self._free) >= KEPT:
            pipe.close()
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Close the pipes that are kept."""
        while self._free:
            self._free.pop().close()
