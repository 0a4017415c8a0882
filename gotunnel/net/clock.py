"""Makes a reactor's timers follow a clock that nobody can set. Measures nothing itself."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["use_monotonic"]


class _Timed(Protocol):
    """What is needed of a reactor; in Twisted's reactors `seconds` is an attribute that an instance can replace."""

    def seconds(self) -> float: ...
    def getDelayedCalls(self) -> object: ...


def use_monotonic(reactor: object) -> None:
    """Let `reactor.seconds()`, `callLater` and LoopingCall follow `time.monotonic`; a second call changes nothing.

    Twisted's reactors use the wall clock: when that is set back by an hour, every timer stands still for an hour, and
    when it is set forward, every timeout strikes early. Raises RuntimeError when something is scheduled already,
    because its due time was computed with the other clock.
    """
    timed: _Timed = reactor  # type: ignore[assignment]
    if timed.seconds is time.monotonic:
        return
    if timed.getDelayedCalls():
        raise RuntimeError("the reactor's clock cannot be replaced: timers are running already")
    timed.seconds = time.monotonic  # type: ignore[method-assign]
