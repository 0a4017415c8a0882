"""Decides whether the peer of a control connection is alive, and when to ping it.

It sends nothing and reads no clock: the owner passes in monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

__all__ = ["Liveness"]

_REMEMBERED_PINGS = 32


class Liveness:
    """Judges one connection, starting at `now`.

    A ping is due `interval` seconds after the last one, whatever else is received, so that the round trip time stays
    current. The peer is dead when no byte has arrived for `timeout` seconds.

    A process that was suspended (SIGSTOP, a sleeping laptop, a frozen VM) finds at its first check that the timeout has
    passed, although the peer's bytes may be waiting unread in the socket. So a check that is more than `interval` late
    extends the deadline to at least `interval` from then, which is one chance to read. The extension is granted once
    per silence; otherwise a process that is always late would never give up.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        """`interval` and `timeout` are seconds. Raises ValueError unless 0 < interval < timeout."""
        if not 0 < interval < timeout:
            raise ValueError(f"a heartbeat of {interval} s does not fit a timeout of {timeout} s")
        self._interval = interval
        self._timeout = timeout
        self._dead_at = now + timeout
        self._ping_at = now + interval
        self._planned = self._ping_at
        self._granted = False
        self._pings: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED_PINGS)
        self._number = 0
        self.round_trip: float | None = None
        """Seconds from the last answered ping to its pong, or None before the first pong."""
        self.answered_at = now
        """When the last pong arrived; before the first one, when this object was made."""

    def received(self, now: float) -> None:
        """Record that at least one byte has arrived."""
        self._dead_at = now + self._timeout
        self._granted = False

    def due(self, now: float) -> Literal["ping", "dead"] | None:
        """Return what to do now. "ping" is returned until `ping` is called."""
        if now - self._planned > self._interval and not self._granted:
            self._granted = True
            self._dead_at = max(self._dead_at, now + self._interval)
        if now >= self._dead_at:
            return "dead"
        return "ping" if now >= self._ping_at else None

    def owed(self, now: float) -> float:
        """Return how many seconds ago the oldest unanswered ping was sent, or 0 if there is none."""
        return now - self._pings[0][1] if self._pings else 0.0

    def next_check(self, now: float) -> float:
        """Return in how many seconds to call `due` again. Call this after each `due`: it records the planned time."""
        self._planned = max(now, min(self._ping_at, self._dead_at))
        return self._planned - now

    def ping(self, now: float) -> int:
        """Record that a ping is sent now, and return its number: 1, 2, 3…"""
        self._number += 1
        self._pings.append((self._number, now))
        self._ping_at = now + self._interval
        return self._number

    def pong(self, n: int, now: float) -> float | None:
        """Return the round trip time of ping `n` in seconds, or None if `n` is not among the last unanswered pings."""
        while self._pings and self._pings[0][0] <= n <= self._number:
            number, sent = self._pings.popleft()
            if number == n:
                self.round_trip = now - sent
                self.answered_at = now
                return self.round_trip
        return None
