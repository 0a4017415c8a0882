"""How often something took how long, in a few buckets. Draws and names nothing."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["SECONDS", "Histogram"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds that fit what is waited for on a network: from a neighbour to a timeout."""


class Histogram:
    """Counts, one for each bound and one for what is above all of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all that was observed."""

    def observe(self, value: float) -> None:
        """Count one; a clock that was set back counts as no time at all."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0.0:
            self.total += value

    @property
    def cumulated(self) -> list[tuple[str, float]]:
        """What was at most each bound, as Prometheus wants it: the bound as text, the last one "+Inf"."""
        found, count = [], 0
        for bound, more in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            count += more
            found.append((bound, float(count)))
        return found
