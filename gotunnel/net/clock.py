"""Makes a reactor's timers follow the monotonic clock, which nobody can set."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["use_monotonic"]


class _Timed(Protocol):
    """What is needed of a reactor. In Twisted's reactors `seconds` is an attribute, which an instance can replace."""

    def seconds(self) -> float: ...
    def getDelayedCalls(self) -> object: ...


def use_monotonic(reactor: object) -> None:
    """Make `reactor.seconds()`, `callLater` and LoopingCall follow `time.monotonic`. A second call changes nothing.

    Twisted's reactors use the wall clock: if it is set back by an hour, every timer stops for an hour; if it is set
    forward, every timeout expires early. Raises RuntimeError if anything is scheduled already, since its due time was
    computed with the other clock.
    """
    timed: _Timed = reactor  # type: ignore[assignment]
    if timed.seconds is time.monotonic:
        return
    if timed.getDelayedCalls():
        raise RuntimeError("the reactor's clock cannot be replaced: timers are running already")
    timed.seconds = time.monotonic  # type: ignore[method-assign]
