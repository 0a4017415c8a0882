"""The words for a change of configuration, for a log and for whoever asked for it. They name keys and never values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gotunnel.config.difference import Difference, ListChange
from gotunnel.config.effects import Effect
from gotunnel.errors import printable

__all__ = ["NOTHING", "key_lines", "list_line"]

MOST_NAMES = 8
"""Names of one kind that are told; of more their number."""

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
    """Return a line for the keys of each effect, those of named lists aside, and one for each key that has to wait."""
    lines = []
    for effect, words in _WHEN.items():
        keys = [key for key, what in difference.keys.items() if what is effect and key not in difference.lists]
        if keys:
            lines.append(words(", ".join(keys)))
    return lines + [f"{key} changed: needs a restart" for key in difference.restart]


def list_line(
    what: str, change: ListChange, streams: Mapping[str, int] | None = None, drains: bool = True
) -> str:
    """Return one line for a list: `streams` are those who are served now, by the names of the list; `drains` says that
    those of what is removed have a limited time."""
    streams = {} if streams is None else streams
    # Joined of words, and so no sentence: as a pattern such a part would swallow all others. `i18n.lists` takes it
    # apart.
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
