"""What only the start of a role has needed of memory goes back to the system: free pages of the heap, which the C
library keeps otherwise for what never comes, and pages of libraries that were read in to load them and to set up."""

from __future__ import annotations

import ctypes  # Twisted has loaded it
import gc
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

__all__ = ["give_back", "heap", "keep", "untouched"]

_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (r-.p) [0-9a-f]+ \S+ [1-9]\d* +/")
"""The first line of a mapping in /proc/PID/smaps, proc_pid_smaps(5): one of a file, private, that nobody may write."""
_DONTNEED = 4  # MADV_DONTNEED of every Linux, madvise(2)


def keep() -> None:
    """Leave out of Python's collection of garbage what is there now: it stays as long as the process. To look at all
    of it, 70,000 objects, takes 37 ms, in which no visitor is served; to look at what came since takes none."""
    gc.freeze()
    gc.collect()  # from now on it comes when a quarter of what is new may be garbage, and not a quarter of everything


def give_back() -> None:
    """Give back the pages that are free, and those that hold nothing but what stands in a file. Where the system cannot
    do the one or the other, nothing happens: only glibc gives back a heap, only Linux says what is where.

    The second are mostly code that runs once: ten MiB in all. What is needed again after all is mapped again from the
    system's cache, within microseconds."""
    library, trim = _c_library()
    try:
        with open("/proc/self/smaps", "rb") as file:
            mappings = list(untouched(file))
    except OSError:
        mappings = []
    for start, size in mappings:
        library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED)
    if trim is not None:
        trim()


def heap() -> tuple[Callable[[], int], Callable[[], object]] | None:
    """Return what tells how many bytes of the heap are free, given back or not, and what gives their pages back; None
    where the C library does not tell."""
    library, trim = _c_library()
    ask = getattr(library, "mallinfo2", None)
    if trim is None or ask is None:  # glibc has the second since 2.33
        return None
    ask.restype = _Mallinfo
    return lambda: int(ask().fordblks), trim


def _c_library() -> tuple[Any, Callable[[], object] | None]:
    """Return what this process calls in C, and what gives back the free pages of its heap, where that can be done."""
    library = ctypes.CDLL(None)
    trim = getattr(library, "malloc_trim", None)
    return library, partial(trim, 0) if trim is not None else None


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2`, mallinfo(3)."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def untouched(smaps: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """Read the lines of a process's `smaps`; return the addresses and sizes, in bytes, of mappings whose every page is
    as its file has it, and that nobody may write. In others MADV_DONTNEED would undo what was written: those of a
    library that the loader has put addresses into may not be written any more, either, but they hold pages of their
    own, which count as anonymous, or as swapped out."""
    span, unwritten = (0, 0), False
    for line in smaps:
        if b"-" in line[:17]:
            mapping = _MAPPING.match(line)
            span = (int(mapping[1], 16), int(mapping[2], 16)) if mapping is not None else (0, 0)
            unwritten = False
        elif line.startswith(b"Anonymous:"):
            unwritten = line.split()[1] == b"0"
        elif line.startswith(b"Swap:") and unwritten and line.split()[1] == b"0" and span[1]:
            yield span[0], span[1] - span[0]
