"""Measures how many legs visitors recently needed at once. The leg pool decides what to do about it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Demand"]

L = TypeVar("L", bound=Hashable)


class Demand(Generic[L]):
    """The peak number of simultaneous recent visitors within the last `span` seconds.

    A visitor is recent if it began within `span` seconds: one that stays for hours says nothing about how many come
    next. Times are monotonic seconds and must not go back.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        # leg -> when its visitor began, oldest first. Not a dict: finding a dict's first item skips all deleted entries
        # before it, and when a crowd leaves, that is done for each visitor.
        self._recent: OrderedDict[L, float] = OrderedDict()
        # Samples (when, how many) that may still become the peak: times rise, numbers fall.
        self._peaks: deque[tuple[float, int]] = deque()
        self._ages = 0.0  # before this time nothing expires

    def began(self, leg: L, now: float) -> None:
        """Record that a visitor took this leg."""
        recent, peaks = self._recent, self._peaks
        recent[leg] = now
        if now >= self._ages:
            self._age(now)
        number = len(recent)
        while peaks and peaks[-1][1] <= number:
            peaks.pop()
        peaks.append((now, number))

    def over(self, leg: L, now: float) -> None:
        """Record that the visitor of this leg has finished. It still counts up to this moment."""
        recent, peaks = self._recent, self._peaks
        if now >= self._ages:
            self._age(now)
        number = len(recent)
        while peaks and peaks[-1][1] <= number:
            peaks.pop()
        if number:
            peaks.append((now, number))
            recent.pop(leg, None)

    def forget(self, leg: L) -> None:
        """Remove a leg that has closed."""
        self._recent.pop(leg, None)

    def peak(self, now: float) -> int:
        """Return the highest number of recent visitors that held a leg at once within the window."""
        self._age(now)
        return max(self._peaks[0][1] if self._peaks else 0, len(self._recent))

    def falls_at(self) -> float | None:
        """Return the earliest time at which the peak can fall if nothing else happens, or None if it is zero."""
        firsts = [next(iter(self._recent.values()))] if self._recent else []
        firsts += [self._peaks[0][0]] if self._peaks else []
        return min(firsts) + self._span if firsts else None

    def _age(self, now: float) -> None:
        while self._recent and next(iter(self._recent.values())) + self._span <= now:
            self._recent.popitem(last=False)
        while self._peaks and self._peaks[0][0] + self._span <= now:
            self._peaks.popleft()
        falls = self.falls_at()
        self._ages = now + self._span if falls is None else falls

