"""Computes the delay before the next connection attempt. Sets no timer."""

from __future__ import annotations

import random as _random
from collections.abc import Callable

__all__ = ["LEAST_DELAY", "MAX_RETRY_AFTER", "Backoff"]

LEAST_DELAY = 0.05
"""The shortest delay in seconds. Jitter can be zero, and retrying a fast refusal at once would be a busy loop."""
MAX_RETRY_AFTER = 60.0
"""The upper limit on a peer's `retry_after`, in seconds. Before its MAC is verified it may come from anybody."""


class Backoff:
    """The delays for one peer that is retried: exponential ceilings with full jitter.

    Each delay is drawn from the whole of [0, ceiling], so that a thousand clients that lost one server do not return in
    step. The ceiling starts at `first` seconds and grows by `factor` up to `cap`. It starts over after a connection has
    lasted `stable_after` seconds. `random` returns floats in [0, 1).

    Raises ValueError for inconsistent numbers.
    """

    def __init__(
        self,
        first: float = 0.5,
        factor: float = 2.0,
        cap: float = 15.0,
        stable_after: float = 60.0,
        random: Callable[[], float] = _random.random,
    ) -> None:
        if not (0 < first <= cap and factor >= 1 and stable_after >= 0):
            raise ValueError(f"a backoff of {first=}, {factor=}, {cap=}, {stable_after=}")
        self._first = first
        self._factor = factor
        self._cap = cap
        self._stable_after = stable_after
        self._random = random
        self._ceiling = first
        self._connected: float | None = None
        self.failures = 0
        """Failed attempts since the ceiling was last reset."""

    @property
    def ceiling(self) -> float:
        """The upper end of the next jitter, in seconds."""
        return self._ceiling

    def failed(self, retry_after: float | None = None) -> float:
        """Return the seconds to wait after a failed attempt or a lost connection.

        A peer's `retry_after` (seconds) is a minimum to which the jitter is added, capped at MAX_RETRY_AFTER. Values
        that make no sense are ignored.
        """
        return self.slow(0.0, retry_after)

    def slow(self, minimum: float, retry_after: float | None = None) -> float:
        """Like `failed`, but wait at least `minimum` seconds.

        For refusals that need a human to fix them, such as a wrong token. The jitter is added on top, so that clients
        that were refused together do not return together.
        """
        floor = minimum
        if retry_after is not None and retry_after > minimum:
            floor = max(minimum, min(retry_after, MAX_RETRY_AFTER))
        delay = max(LEAST_DELAY, floor + self._random() * self._ceiling)
        self.failures += 1
        self._ceiling = min(self._cap, self._ceiling * self._factor)
        return delay

    def soon(self, ceiling: float) -> float:
        """Return the seconds to wait if the peer is known to return any moment: drawn from [0, ceiling].

        This does not count as a failure.
        """
        return max(LEAST_DELAY, self._random() * ceiling)

    def connected(self, now: float) -> None:
        """Record that the peer is connected and authenticated."""
        self._connected = now

    def lost(self, now: float) -> None:
        """Record that the connection closed.

        If it lasted `stable_after` seconds, earlier failures are forgotten. Otherwise they are kept, so that a peer
        that accepts connections and then drops them is not hammered.
        """
        if self._connected is not None and now - self._connected >= self._stable_after:
            self._ceiling = self._first
            self.failures = 0
        self._connected = None
