"""Handles mappings that were removed from a client's configuration: OPENs in flight are still served for a moment, and
visitors have a limited time to finish. A mapping that is added back in time loses no visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from gotunnel.client.published import Published
from gotunnel.logs import Logger

__all__ = ["IN_FLIGHT", "Leaving"]

IN_FLIGHT = 5.0
"""Seconds in which OPENs that a server sent before it closed the port arrive."""


class Leaving:
    """One per link. `cut(name)` resets the visitors of a mapping and returns how many there were."""

    log = Logger()

    def __init__(self, clock: Any, published: Published, cut: Callable[[str], int]) -> None:
        self._clock = clock
        self._published = published
        self._cut = cut
        self._timers: set[IDelayedCall] = set()
        self._last: dict[str, object] = {}  # of each mapping, a mark of its last removal
        self.cuts = True
        """Whether visitors are reset when their time is over; False if something else does that."""

    def leave(self, names: tuple[str, ...], seconds: float) -> None:
        """Handle the removal of these mappings. Their visitors have so many seconds to finish."""
        if not names:
            return
        mark = object()
        self._last.update(dict.fromkeys(names, mark))

        def latest() -> list[str]:
            """Return those that were not removed once more since."""
            return [name for name in names if self._last.get(name) is mark]

        def forget() -> list[str]:
            """Forget those that were not added back, and return them."""
            late = [name for name in latest() if name not in self._published.statuses]
            self._published.forget(late)
            return late

        def over() -> None:
            late = forget()
            for name in latest():
                del self._last[name]
            if self.cuts:
                self._over(late)

        if self.cuts and seconds > IN_FLIGHT:
            self._later(IN_FLIGHT, forget)
            self._later(seconds, over)
        else:
            self._later(min(IN_FLIGHT, seconds), over)

    def stop(self) -> None:
        """Cancel all pending resets. May be called again."""
        timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            act()

        timer = self._clock.callLater(seconds, due)
        self._timers.add(timer)

    def _over(self, names: Iterable[str]) -> None:
        for name in names:
            count = self._cut(name)
            if count:
                self.log.warn(
                    "{count} visitors of {mapping}, which was removed, were disconnected: their time was over",
                    count=count, mapping=name,
                )  # fmt: skip
