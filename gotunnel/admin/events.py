"""The latest events of a role, for an operator who was not there to see them in the log: connections, mappings and all
warnings. The lines about visitors are left out, since they would displace everything else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from gotunnel.errors import Sentence, printable
from gotunnel.i18n.events import said_in
from gotunnel.i18n.hints import hint_of

__all__ = ["EventView", "Events"]

MOST = 200
LONGEST = 500
"""Characters of one event."""


@dataclass(frozen=True, slots=True)
class EventView:
    """One event. `time` is in Unix seconds."""

    time: float
    level: str
    text: str


@implementer(ILogObserver)
class Events:
    """An observer of the log between `start` and `stop`."""

    def __init__(self) -> None:
        self._latest: deque[EventView] = deque(maxlen=MOST)

    def start(self) -> None:
        """Start observing."""
        globalLogPublisher.addObserver(self)

    def stop(self) -> None:
        """Stop observing."""
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Called for each event of the process: one that is not kept must cost next to nothing."""
        level = event.get("log_level")
        if level is LogLevel.debug or level is None:
            return
        words = event.get("log_format") or ""
        if level is LogLevel.info and (
            words.startswith("visitor ") or not event.get("log_namespace", "").startswith("gotunnel")
        ):
            return
        self._latest.append(EventView(event["log_time"], level.name, printable(_said(event), LONGEST)))

    @property
    def last(self) -> float | None:
        """The time of the latest event: a program that has seen it need not ask for all."""
        return self._latest[-1].time if self._latest else None

    @property
    def latest(self) -> list[EventView]:
        """The events that are kept, the latest first."""
        return list(reversed(self._latest))


def _said(event: LogEvent) -> str:
    """Return the event's English text. If that is a sentence of ours, it stays one, because the reader may want it in
    Chinese."""
    if not event.get("log_namespace", "").startswith("gotunnel"):
        return formatEvent(event)
    try:
        said = said_in(event)
        hint = "" if event["log_level"] is LogLevel.info else hint_of(event)
        return Sentence("{said}; what to do: {hint}", said=said, hint=Sentence.word(hint)) if hint else said
    except (KeyError, ValueError, AttributeError, IndexError, TypeError):
        return formatEvent(event)  # which says what is wrong with it
