"""How many legs visitors needed at once of late. Only measures; the leg pool decides."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Demand"]

L = TypeVar("L", bound=Hashable)


class Demand(Generic[L]):
    """The peak of recent visitors within the last `span` seconds. Recent is who began within `span`
    seconds: one that stays for hours says nothing about how many come next. Times are monotonic seconds and
    do not go back."""

    def __init__(self, span: float) -> None:
        self._span = span
        # leg -> when its visitor began, oldest first. Not a dict: who looks for its oldest looks past all that were
        # older and are gone, and when a crowd leaves that is done for each of them.
        self._recent: OrderedDict[L, float] = OrderedDict()
        # Samples (when, how many) that may still become the peak: times rise, numbers fall.
        self._peaks: deque[tuple[float, int]] = deque()
        self._ages = 0.0  # before that nothing ages

    def began(self, leg: L, now: float) -> None:
        """A visitor took this leg."""
        recent, peaks = self._recent, self._peaks
        recent[leg] = now
        if now >= self._ages:
            self._age(now)
        number = len(recent)
        while peaks and peaks[-1][1] <= number:
            peaks.pop()
        peaks.append((now, number))

    def over(self, leg: L, now: float) -> None:
        """The visitor of this leg is over; until now it counted."""
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
        """The leg is gone, whatever it did."""
        self._recent.pop(leg, None)

    def peak(self, now: float) -> int:
        """Return how many recent visitors held a leg at once, at most, within the window."""
        self._age(now)
        return max(self._peaks[0][1] if self._peaks else 0, len(self._recent))

    def falls_at(self) -> float | None:
        """When the peak may be lower if nothing happens, None when it is zero."""
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

