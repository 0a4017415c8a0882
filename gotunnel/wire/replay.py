"""A window that lets each number of a session pass once, in any order within its size, as DTLS does (RFC
6347, 4.1.2.6). It verifies nothing: call it only after the MAC that covers the number."""

from __future__ import annotations

__all__ = ["SeqWindow"]


class SeqWindow:
    """Remembers the last `size` numbers below the highest one accepted; what lies below them counts as
    spent."""

    def __init__(self, size: int = 4096) -> None:
        if size < 1:
            raise ValueError("a window holds at least one number")
        self._size = size
        self._mask = (1 << size) - 1
        self._highest = -1
        self._spent = 0
        """Bit i stands for the number `_highest` - i."""

    def accept(self, seq: int) -> bool:
        """Say whether `seq` is fresh, and if it is, spend it."""
        if seq < 0:
            return False
        ahead = seq - self._highest
        if ahead > 0:
            # A leap beyond the window leaves nothing of it; shifting that far would only cost memory.
            self._spent = ((self._spent << ahead) | 1) & self._mask if ahead < self._size else 1
            self._highest = seq
            return True
        bit = 1 << -ahead if -ahead < self._size else 0
        if not bit or self._spent & bit:
            return False
        self._spent |= bit
        return True
