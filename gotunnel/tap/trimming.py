"""Gives memory back that a crowd of visitors has needed, when the crowd has gone. By itself the C library only gives
back what is free at the end of its heap, where something that stays usually lies. A role would keep for months what its
busiest minute took."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.tap.wrapper import Wrapper

__all__ = ["MUCH", "PERIOD", "Trimming"]

PERIOD = 10.0
"""Seconds between two checks of the free memory. A check takes 0.1 ms, or 0.4 ms with a fragmented heap."""
MUCH = 4 << 20
"""Bytes that must have become free to be worth a millisecond or two: those of 150 legs inside TLS."""


class Trimming(Wrapper):
    """Wraps the service of a role. `free()` returns how many bytes of the heap are free, given back or not; `trim()`
    gives them back."""

    def __init__(
        self, service: IService, clock: IReactorTime, free: Callable[[], int], trim: Callable[[], object]
    ) -> None:
        super().__init__(service)
        self._clock = clock
        self._free = free
        self._trim = trim
        self._least = free()  # the smallest amount seen free since the last time: anything beyond it was in use
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        """Start the role and the checks."""
        super().startService()
        self._plan()

    def stopService(self) -> Deferred[None]:
        """Stop the checks, and the role."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        return super().stopService()

    def _plan(self) -> None:
        self._next = self._clock.callLater(PERIOD, self._look)

    def _look(self) -> None:
        self._plan()
        now = self._free()
        self._least = min(self._least, now)
        if now - self._least >= MUCH:
            self._trim()
            self._least = self._free()
