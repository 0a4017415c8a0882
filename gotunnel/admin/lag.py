"""How late the event loop is, measured by a timer that compares the clock with its due time. Only measures."""

from __future__ import annotations

from collections import deque

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Lag"]

PERIOD = 0.5
"""Seconds between two measurements."""
REMEMBERED = 30.0
"""Seconds for which the longest delay is remembered: longer than the time between two scrapes."""


class Lag:
    """Measures from `start` to `stop`."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._due = 0.0
        self._late: deque[tuple[float, float]] = deque()  # time and delay; later delays are smaller

    def start(self) -> None:
        """Start measuring."""
        self._plan()

    def stop(self) -> None:
        """Stop measuring."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    @property
    def longest(self) -> float:
        """Seconds of the longest delay within the last half minute, including one that still continues."""
        now = self._clock.seconds()
        self._forget(now)
        going_on = max(0.0, now - self._due) if self._timer is not None else 0.0
        return max(going_on, self._late[0][1] if self._late else 0.0)

    def _plan(self) -> None:
        self._due = self._clock.seconds() + PERIOD
        self._timer = self._clock.callLater(PERIOD, self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        late = max(0.0, now - self._due)
        self._forget(now)
        while self._late and self._late[-1][1] <= late:
            self._late.pop()
        self._late.append((now, late))
        self._plan()

    def _forget(self, now: float) -> None:
        while self._late and self._late[0][0] < now - REMEMBERED:
            self._late.popleft()
