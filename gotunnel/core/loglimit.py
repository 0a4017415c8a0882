"""Keeps logs readable when remote peers decide how often an event occurs. Writes nothing; says what may be written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from gotunnel.errors import Sentence

__all__ = ["LogLimit", "once_in_a_while"]

WHILE = 3600.0
"""The seconds between two lines about the same lasting condition."""


@dataclass(slots=True)
class _Bucket:
    level: float
    filled: float
    suppressed: int = 0


class LogLimit:
    """A token bucket per key: `burst` lines at once, then `rate` lines a second.

    At most `max_keys` keys are remembered. A key is forgotten only if its bucket is full again, so that forgetting it
    makes no difference. While there is no room, all other keys share one bucket. So the number of lines is bounded,
    however many keys a peer can invent.
    """

    def __init__(self, rate: float, burst: int, max_keys: int = 1024) -> None:
        if rate <= 0 or burst < 1 or max_keys < 1:
            raise ValueError(f"a log limit of rate={rate}, burst={burst}, max_keys={max_keys}")
        self._rate = rate
        self._burst = burst
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._overflow = _Bucket(burst, 0.0)

    def allow(self, key: Hashable, now: float) -> tuple[bool, int]:
        """Return whether a line about `key` may be written, and how many were suppressed since the last one.

        The count is reset with each allowed line, so include it in that line.
        """
        bucket = self._bucket(key, now)
        bucket.level = self._level(bucket, now)
        bucket.filled = now
        if bucket.level < 1:
            bucket.suppressed += 1
            return False, bucket.suppressed
        bucket.level -= 1
        suppressed, bucket.suppressed = bucket.suppressed, 0
        return True, suppressed

    def more(self, key: Hashable, now: float) -> str | None:
        """Like `allow`, but return the text to append to the line: how many were suppressed, or "" if none were.

        Returns None if the line may not be written.
        """
        allowed, suppressed = self.allow(key, now)
        if not allowed:
            return None
        return Sentence(" ({suppressed} more like this were not logged)", suppressed=suppressed) if suppressed else ""

    def _level(self, bucket: _Bucket, now: float) -> float:
        return min(self._burst, bucket.level + max(0.0, now - bucket.filled) * self._rate)

    def _bucket(self, key: Hashable, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is not None:
            self._buckets.move_to_end(key)
            return bucket
        if len(self._buckets) >= self._max_keys:
            oldest = next(iter(self._buckets.values()))
            if self._level(oldest, now) < self._burst:
                return self._overflow
            # Its suppressed lines are reported with the next line of the shared bucket.
            self._overflow.suppressed += oldest.suppressed
            self._buckets.popitem(last=False)
        bucket = self._buckets[key] = _Bucket(self._burst, now)
        return bucket


def once_in_a_while() -> LogLimit:
    """Return a limit for lines about a lasting condition: once, and then every hour. The key must identify the text."""
    return LogLimit(rate=1 / WHILE, burst=1, max_keys=256)
