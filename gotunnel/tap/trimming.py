"""Gives memory back that a crowd has needed, when the crowd has gone. The C library does so by itself only with what is
free at the end of its heap, and something that stays lies there nearly always: a role would keep for months what its
busiest minute took."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.tap.wrapper import Wrapper

__all__ = ["MUCH", "PERIOD", "Trimming"]

PERIOD = 10.0
"""Seconds between two looks at how much is free. One takes 0.1 ms, or 0.4 where much lies about."""
MUCH = 4 << 20
"""Bytes that must have become free for it to be worth a millisecond or two: those of 150 legs inside TLS."""


class Trimming(Wrapper):
    """Wraps the service of a role. `free()` tells how many bytes of the heap are, given back or not, and `trim()` gives
    them back."""

    def __init__(
        self, service: IService, clock: IReactorTime, free: Callable[[], int], trim: Callable[[], object]
    ) -> None:
        super().__init__(service)
        self._clock = clock
        self._free = free
        self._trim = trim
        self._least = free()  # that was free at a look since the last time: what is now beyond that was in use
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        """Start the role, and look from now on."""
        super().startService()
        self._plan()

    def stopService(self) -> Deferred[None]:
        """Look no more, and stop the role."""
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
