"""Waits for a change of state: conditions are checked whenever the state may have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["Waits"]

T = TypeVar("T")


class Waits:
    """The waiting calls and their conditions. Call `look` after every change of state."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._waiting: dict[Deferred[Any], Callable[[], Any]] = {}

    def until(
        self, seen: Callable[[], T | None], seconds: float | None = None, late: Callable[[], Exception] = TimeoutError
    ) -> Deferred[T]:
        """Fire with the result of `seen` when that is no longer None; fail with what it raises. After that many
        `seconds`, fail with the result of `late`. Cancelling it gives up."""
        waiting: Deferred[T] = Deferred(self._forget)
        self._waiting[waiting] = seen
        if seconds is not None:
            timer = self._clock.callLater(seconds, self._end, waiting, late)

            def over(result: Any) -> Any:
                if timer.active():
                    timer.cancel()
                return result

            waiting.addBoth(over)
        self._try(waiting)
        return waiting

    def look(self) -> None:
        """Check all conditions: something may have changed."""
        for waiting in tuple(self._waiting):
            self._try(waiting)

    def _try(self, waiting: Deferred[Any]) -> None:
        seen = self._waiting.get(waiting)
        if seen is None:
            return  # cancelled by an earlier one in this loop
        try:
            found = seen()
        except Exception:  # noqa: BLE001 - the waiting call judges it
            self._forget(waiting)
            waiting.errback(Failure())
            return
        if found is not None:
            self._forget(waiting)
            waiting.callback(found)

    def _end(self, waiting: Deferred[Any], late: Callable[[], Exception]) -> None:
        self._forget(waiting)
        waiting.errback(Failure(late()))

    def _forget(self, waiting: Deferred[Any]) -> None:
        self._waiting.pop(waiting, None)
