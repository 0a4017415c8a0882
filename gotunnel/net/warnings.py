"""Warnings that a peer can cause as often as he likes, and that are written now and then only. What they say is for who
gives them."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from gotunnel.core.loglimit import LogLimit
from gotunnel.logs import Logger

__all__ = ["Warnings"]

MOST_KINDS = 32
"""Kinds that are counted one by one; more of them share what one may write."""


class Warnings:
    """Ten lines of a kind at once, then one a second; the next one that is written tells how many were not."""

    def __init__(self, log: Logger, clock: IReactorTime) -> None:
        self._log = log
        self._clock = clock
        # A kind may be a name that the peer has chosen, and he can think of many.
        self._lines = LogLimit(rate=1.0, burst=10, max_keys=MOST_KINDS)

    def warn(self, kind: str, words: str, **values: Any) -> bool:
        """Log a warning, unless there were many of its kind lately; return whether it was. `words` is a constant
        format."""
        more = self._lines.more(kind, self._clock.seconds())
        if more is not None:
            self._log.warn(words + "{more}", more=more, **values)
        return more is not None
