"""Logs the lines that sum up visitors without a line of their own. `core.crowds` decides which those are."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.core.crowds import WINDOW, Crowds
from gotunnel.logs import Logger

__all__ = ["CrowdLines"]


class CrowdLines:
    """One per role, which calls `stop` near its end; that also writes what was counted until then."""

    log = Logger()

    def __init__(self, clock: IReactorTime, crowds: Crowds) -> None:
        self._clock = clock
        self._crowds = crowds
        self._timer: IDelayedCall | None = None
        crowds.gathers = self._gathers

    def _gathers(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._write)

    def stop(self) -> None:
        """Write what has been counted."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
            self._write()

    def _write(self) -> None:
        self._timer = None
        for crowd in self._crowds.take():
            self.log.info(
                "{count} more visitors of {mapping} ended within {seconds:g} s, too many for a line each: {outcomes}; "
                "{up} bytes up, {down} down",
                count=crowd.count, mapping=crowd.mapping, client=crowd.client, seconds=WINDOW, outcomes=crowd.words,
                up=crowd.up, down=crowd.down,
            )  # fmt: skip
