"""Time limits that are nearly always stopped before they expire, all on one timer of the reactor. Whoever starts a
deadline decides what happens when it expires."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadlines"]

LATE, GRACE = 1.0, 0.5
"""LATE: seconds of delay that mean more than a busy reactor: this process or its machine was frozen. GRACE: the seconds
that all deadlines then get in addition, so that what the peers sent in time is read first."""


class Deadlines:
    """Deadlines by key. Starting and stopping one costs a dictionary entry, while a timer of the reactor costs fifteen
    calls, and each visitor has a deadline that is stopped a moment later. Few different lengths are in use; within one
    length, deadlines expire in the order in which they were started."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._by_length: dict[float, dict[Hashable, tuple[float, Callable[[], None]]]] = {}
        self._timer: IDelayedCall | None = None
        self._strikes = 0.0

    def __len__(self) -> int:
        """Return how many deadlines are running."""
        return sum(map(len, self._by_length.values()))

    def start(self, key: Hashable, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` after `seconds`, unless the deadline is stopped first. A key has one deadline at a time."""
        running = self._by_length.get(seconds)
        if running is None:
            running = self._by_length[seconds] = {}
        due = self._clock.seconds() + seconds
        running[key] = due, act
        self._wake_by(due)

    def stop(self, key: Hashable) -> None:
        """Stop the deadline of `key`, if it has one. The timer keeps running: another deadline probably needs it."""
        for running in self._by_length.values():
            if running.pop(key, None) is not None:
                return

    def stop_all(self) -> None:
        """Stop all deadlines and the timer."""
        self._by_length.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_by(self, due: float) -> None:
        if self._timer is None or due < self._strikes:
            self._wake(due)

    def _wake(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._strikes = due
        self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._strike)

    def _strike(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        over = [
            (running, key, limit)
            for running in self._by_length.values()
            for key, limit in _until(running, now)
        ]
        if over and now - self._strikes >= LATE:
            self._wake(now + GRACE)
            return
        try:
            for running, key, limit in over:
                if running.get(key) is limit:  # an act called before this one may have stopped it
                    del running[key]
                    limit[1]()
        finally:
            firsts = [next(iter(running.values()))[0] for running in self._by_length.values() if running]
            if firsts:
                self._wake_by(min(firsts))  # the timer may be running: an act may have started a later deadline


def _until(
    running: dict[Hashable, tuple[float, Callable[[], None]]], now: float
) -> list[tuple[Hashable, tuple[float, Callable[[], None]]]]:
    found = []
    for key, limit in running.items():
        if limit[0] > now:
            break
        found.append((key, limit))
    return found
