"""A token bucket that limits how often something may happen. Refuses nothing itself."""

from __future__ import annotations

__all__ = ["RateLimit"]


class RateLimit:
    """Allows `burst` events at once, then `rate` per second.

    Times are monotonic seconds. Raises ValueError for numbers that would allow nothing.
    """

    __slots__ = ("_burst", "_filled", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a rate limit of rate={rate}, burst={burst}")
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._filled = now

    def take(self, now: float, count: int = 1) -> bool:
        """Count `count` events; return False, without counting them, if that exceeds the limit."""
        self._level = min(self._burst, self._level + max(0.0, now - self._filled) * self._rate)
        self._filled = now
        if self._level < count:
            return False
        self._level -= count
        return True

    def give_back(self) -> None:
        """Take back the last event, which should not count because it was requested."""
        self._level += 1
