"""How long to wait before the next attempt to connect. Decides delays only; sets no timer."""

from __future__ import annotations

import random as _random
from collections.abc import Callable

__all__ = ["LEAST_DELAY", "MAX_RETRY_AFTER", "Backoff"]

LEAST_DELAY = 0.05
"""Seconds. Jitter may come out as zero; an attempt never follows at once, or a fast refusal becomes a busy
loop."""
MAX_RETRY_AFTER = 60.0
"""Seconds that a peer's `retry_after` counts at most: before its MAC is verified it may come from anybody."""


class Backoff:
    """The delays of one peer that is tried again and again: exponential ceilings with full jitter.

    The delay is drawn from the whole of [0, ceiling], so that a thousand clients that lost one server do
    not come back in step. Ceilings start at `first` seconds, grow by `factor` up to `cap`, and start anew
    once a connection has held for `stable_after` seconds. `random` returns floats in [0, 1).

    Raises ValueError for numbers that make no ladder.
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
        """Failed attempts since the ladder last started anew."""

    @property
    def ceiling(self) -> float:
        """The longest jitter, in seconds, that the next failure draws from."""
        return self._ceiling

    def failed(self, retry_after: float | None = None) -> float:
        """Return the seconds to wait after a failed attempt or a lost connection.

        A peer's `retry_after` (seconds) is a floor under the jitter, of at most MAX_RETRY_AFTER; nonsense
        counts as none.
        """
        return self.slow(0.0, retry_after)

    def slow(self, minimum: float, retry_after: float | None = None) -> float:
        """Like `failed`, but wait at least `minimum` seconds: for refusals that a human must cure, such as
        a wrong token. The jitter comes on top, so that whoever was refused together does not return
        together."""
        floor = minimum
        if retry_after is not None and retry_after > minimum:
            floor = max(minimum, min(retry_after, MAX_RETRY_AFTER))
        delay = max(LEAST_DELAY, floor + self._random() * self._ceiling)
        self.failures += 1
        self._ceiling = min(self._cap, self._ceiling * self._factor)
        return delay

    def soon(self, ceiling: float) -> float:
        """Return the seconds to wait when the peer is known to come back any moment: drawn from [0, ceiling]. It is no
        step on the ladder."""
        return max(LEAST_DELAY, self._random() * ceiling)

    def connected(self, now: float) -> None:
        """The peer is connected and has proved itself."""
        self._connected = now

    def lost(self, now: float) -> None:
        """The connection is gone. One that held for `stable_after` seconds forgives the failures before it;
        a shorter one does not, so that a peer which accepts and then drops us is not hammered."""
        if self._connected is not None and now - self._connected >= self._stable_after:
            self._ceiling = self._first
            self.failures = 0
        self._connected = None
