"""Rate-limited warnings, for events that a peer can cause as often as it likes."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from gotunnel.core.loglimit import LogLimit
from gotunnel.logs import Logger

__all__ = ["Warnings"]

MOST_KINDS = 32
"""Kinds that are limited one by one; any further ones share the limit of one kind."""


class Warnings:
    """Logs up to ten lines of a kind at once, then one per second. A line that is logged tells how many were
    omitted."""

    def __init__(self, log: Logger, clock: IReactorTime) -> None:
        self._log = log
        self._clock = clock
        # A kind may be a name that the peer has chosen, and it can invent any number of them.
        self._lines = LogLimit(rate=1.0, burst=10, max_keys=MOST_KINDS)

    def warn(self, kind: str, words: str, **values: Any) -> bool:
        """Log a warning unless there were many of its kind lately. Returns whether it was logged. `words` is a constant
        format string."""
        more = self._lines.more(kind, self._clock.seconds())
        if more is not None:
            self._log.warn(words + "{more}", more=more, **values)
        return more is not None
