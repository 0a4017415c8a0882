"""A histogram of durations in a few buckets. Knows no metric names."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["SECONDS", "Histogram"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds for network delays, from a neighbouring host to a timeout."""


class Histogram:
    """Counts per bucket: one for each upper bound, and one for everything above."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all observed values."""

    def observe(self, value: float) -> None:
        """Count a value. A negative one (the clock was set back) does not change the sum."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0.0:
            self.total += value

    @property
    def cumulated(self) -> list[tuple[str, float]]:
        """Cumulative counts as Prometheus wants them: pairs of the bound as text and the count, ending with "+Inf"."""
        found, count = [], 0
        for bound, more in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            count += more
            found.append((bound, float(count)))
        return found
