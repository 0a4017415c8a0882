"""What draining has in common for both roles: it runs once, until one deadline that later requests may only bring
forward. Each role decides what to do meanwhile and what to wait for."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

__all__ = ["Draining", "Patience"]

LOOK = 0.05
"""Seconds between two checks of conditions whose changes are not reported."""


class Patience:
    """Waits for one condition at a time, up to a common deadline. Times are seconds."""

    def __init__(self, clock: IReactorTime) -> None:
        self.waits = False
        """Whether a wait is in progress; if not, calling `look` is useless."""
        self._clock = clock
        self._deadline = math.inf
        self._condition: Callable[[], bool] = bool
        self._pause: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    def at_most(self, seconds: float) -> None:
        """Limit all waits to `seconds` from now. A later call can only shorten the time."""
        self._deadline = min(self._deadline, self._clock.seconds() + seconds)
        self._wake()

    def look(self) -> None:
        """Check the condition now, because something has changed."""
        if self._pause is not None and self._condition():
            self._wake()

    async def until(self, condition: Callable[[], bool], seconds: float = math.inf) -> None:
        """Wait for a condition, for at most `seconds` and no longer than the deadline."""
        self._condition, end = condition, self._clock.seconds() + seconds
        while not condition():
            left = min(end, self._deadline) - self._clock.seconds()
            if left <= 0:
                break
            self._pause, self.waits = Deferred(), True
            self._timer = self._clock.callLater(min(left, LOOK), self._wake)
            await self._pause

    def _wake(self) -> None:
        pause, self._pause, self.waits = self._pause, None, False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if pause is not None:
            pause.callback(None)


class Draining:
    """A drain that several callers can request: the first request starts it, later ones can only shorten it, and all
    get its result. `run(seconds)` does the work, waits with `patience`, and returns how many visitors were cut off."""

    def __init__(self, patience: Patience, run: Callable[[float], Coroutine[Deferred[Any], Any, int]]) -> None:
        self.begun = False
        self._patience = patience
        self._run = run
        self._told: list[Deferred[int]] = []
        self._result: int | Failure | None = None

    def begin(self, seconds: float) -> Deferred[int]:
        """Drain within `seconds`. Fires with the number of visitors that were cut off."""
        told: Deferred[int] = Deferred()
        self._told.append(told)
        self._patience.at_most(seconds)
        if not self.begun:
            self.begun = True
            Deferred.fromCoroutine(self._run(seconds)).addBoth(self._over)
        elif self._result is not None:
            self._over(self._result)
        return told

    def _over(self, result: int | Failure) -> None:
        self._result = result
        told, self._told = self._told, []
        for each in told:
            each.callback(result)
