"""What both roles have in common when they drain: it is done once, and up to one deadline that may be brought forward.
What is done meanwhile, and what is waited for, they know themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

__all__ = ["Draining", "Patience"]

LOOK = 0.05
"""Seconds between two looks at what nobody tells of."""


class Patience:
    """One wait at a time. Times are seconds."""

    def __init__(self, clock: IReactorTime) -> None:
        self.waits = False
        """Whether somebody waits; if not, there is no use in `look`."""
        self._clock = clock
        self._deadline = math.inf
        self._condition: Callable[[], bool] = bool
        self._pause: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    def at_most(self, seconds: float) -> None:
        """Be done within so many seconds from now. It can be said again, and then only shortens the time."""
        self._deadline = min(self._deadline, self._clock.seconds() + seconds)
        self._wake()

    def look(self) -> None:
        """Something has changed."""
        if self._pause is not None and self._condition():
            self._wake()

    async def until(self, condition: Callable[[], bool], seconds: float = math.inf) -> None:
        """Wait for a condition, for so many seconds or until the deadline, whichever is sooner."""
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
    """Who asks first begins it, who asks again can only shorten it, and all are told how it ended. `run(seconds)` does
    it, waits with `patience`, and returns how many visitors were cut."""

    def __init__(self, patience: Patience, run: Callable[[float], Coroutine[Deferred[Any], Any, int]]) -> None:
        self.begun = False
        self._patience = patience
        self._run = run
        self._told: list[Deferred[int]] = []
        self._result: int | Failure | None = None

    def begin(self, seconds: float) -> Deferred[int]:
        """Drain within so many seconds. Fires with the number of visitors that were cut."""
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
