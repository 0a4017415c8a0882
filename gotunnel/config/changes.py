"""The lines that report a change of configuration, to the log and to whoever requested it. They name keys, never
values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gotunnel.config.difference import Difference, ListChange
from gotunnel.config.effects import Effect
from gotunnel.errors import printable

__all__ = ["NOTHING", "key_lines", "list_line"]

MOST_NAMES = 8
"""Most names of one kind that are listed; if there are more, only their number is given."""

NOTHING = "nothing has changed"

ADDED, UNCHANGED, CHANGED, ANEW, REMOVED = "added", "unchanged", "changed", "opened anew", "removed"
KEPT, DRAINING = "kept", "draining"


def _now(keys: str) -> str:
    return f"changed: {keys}"


def _next(keys: str) -> str:
    return f"changed, for connections from now on: {keys}"


def _anew(keys: str) -> str:
    return f"changed, and opened anew: {keys}"


_WHEN: dict[Effect, Callable[[str], str]] = {Effect.NOW: _now, Effect.NEXT: _next, Effect.ANEW: _anew}


def key_lines(difference: Difference[Any]) -> list[str]:
    """Return a line for the keys of each effect, except named lists, and one for each key that needs a restart."""
    lines = []
    for effect, words in _WHEN.items():
        keys = [key for key, what in difference.keys.items() if what is effect and key not in difference.lists]
        if keys:
            lines.append(words(", ".join(keys)))
    return lines + [f"{key} changed: needs a restart" for key in difference.restart]


def list_line(
    what: str, change: ListChange, streams: Mapping[str, int] | None = None, drains: bool = True
) -> str:
    """Return one line for a list. `streams` has the number of current streams by name; `drains` says that the streams
    of removed items have a limited time."""
    streams = {} if streams is None else streams
    # Joined from words instead of a Sentence: as a pattern such a part would match all others. `i18n.lists` parses it.
    parts = []
    if change.added:
        parts.append(" ".join(("+" + _names(change.added), ADDED)))
    for names, word in ((change.kept, UNCHANGED), (change.changed, CHANGED), (change.anew, ANEW)):
        if names:
            parts.append(" ".join((_names(names), word)) + _kept(names, streams))
    if change.removed:
        count = _count(change.removed, streams)
        rest = _kept(change.removed, streams)
        if drains:
            rest = f", {DRAINING} {count}" if count else ""
        parts.append(" ".join((_names(change.removed), REMOVED)) + rest)
    return f"{what}: {', '.join(parts)}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names)) if len(names) <= MOST_NAMES else str(len(names))


def _count(names: Sequence[str], streams: Mapping[str, int]) -> int:
    return sum(streams.get(name, 0) for name in names)


def _kept(names: Sequence[str], streams: Mapping[str, int]) -> str:
    number = _count(names, streams)
    return " ".join(("", "with", str(number), "stream" if number == 1 else "streams", KEPT)) if number else ""
