"""What only the start of a role has needed of the heap goes back to the system: the C library keeps it otherwise, for
what never comes. Half a MiB, most of it what Python's table of names was before it grew."""

from __future__ import annotations

import ctypes  # Twisted has loaded it

__all__ = ["give_back"]


def give_back() -> None:
    """Give back the pages that are free. Only glibc can; with another C library nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
