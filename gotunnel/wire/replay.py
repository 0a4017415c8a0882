"""A replay window: it accepts each number of a session once, in any order within its size.

It works as in DTLS (RFC 6347, section 4.1.2.6). It does not authenticate: call it only after the MAC that covers the
number has been verified.
"""

from __future__ import annotations

__all__ = ["SeqWindow"]


class SeqWindow:
    """Remembers the `size` numbers up to the highest one accepted. Numbers below them count as used."""

    def __init__(self, size: int = 4096) -> None:
        if size < 1:
            raise ValueError("a window holds at least one number")
        self._size = size
        self._mask = (1 << size) - 1
        self._highest = -1
        self._spent = 0
        """Bit i represents the number `_highest` - i."""

    def accept(self, seq: int) -> bool:
        """Return whether `seq` is unused, and mark it as used."""
        if seq < 0:
            return False
        ahead = seq - self._highest
        if ahead > 0:
            # A jump beyond the window clears it; shifting that far would only cost memory.
            self._spent = ((self._spent << ahead) | 1) & self._mask if ahead < self._size else 1
            self._highest = seq
            return True
        bit = 1 << -ahead if -ahead < self._size else 0
        if not bit or self._spent & bit:
            return False
        self._spent |= bit
        return True
