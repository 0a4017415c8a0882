"""Decides which finished visitors get a log line of their own, and sums up the others.

Whoever can reach a port decides how many visitors there are, and must not be able to fill the log. Sums keep everything
but the individual lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import Sentence

__all__ = ["MOST_IN_ALL", "MOST_LINES", "OTHERS", "WINDOW", "Crowd", "Crowds"]

WINDOW = 10.0
"""The length in seconds of the window in which lines are counted and which a sum covers."""
MOST_LINES = 100
"""The number of visitors per mapping and window that get a line each."""
MOST_IN_ALL = 500
"""The same limit for all mappings together, because a client can have many."""
MOST_CROWDS = 64
"""The number of mappings with a sum of their own; further mappings share one."""
OTHERS = "*"


@dataclass(slots=True)
class Crowd:
    """The sum of one mapping's visitors without a line. `client` is the mapping's client, at a server."""

    mapping: str
    client: str | None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    up: int = 0
    down: int = 0

    @property
    def count(self) -> int:
        """The number of visitors in this sum."""
        return self.outcomes.total()

    @property
    def words(self) -> str:
        """The outcomes with their counts as text, the most frequent first."""
        return Sentence.joined(", ", (
            Sentence("{outcome} {count}", outcome=Sentence.word(WORDS[outcome]), count=count)
            for outcome, count in self.outcomes.most_common()
        ))  # fmt: skip


class Crowds:
    """The log lines and sums of one process. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.gathers: Callable[[float], None] = lambda seconds: None
        """Called when the first visitor gets no line, with the number of seconds after which to call `take`."""
        self._ends = 0.0
        self._in_all = 0
        self._lines: dict[tuple[str | None, str], int] = {}
        self._found: dict[tuple[str | None, str], Crowd] = {}

    def has_line(
        self, now: float, mapping: str, outcome: Outcome, end: StreamEnd | None, client: str | None = None
    ) -> bool:
        """Return whether a finished visitor gets a line. If not, it is added to the next sum."""
        if now >= self._ends:
            self._ends = now + WINDOW
            self._in_all = 0
            self._lines.clear()
        key = client, mapping
        lines = self._lines.get(key, 0)
        if lines < MOST_LINES and self._in_all < MOST_IN_ALL:
            self._lines[key] = lines + 1
            self._in_all += 1
            return True
        crowd = self._found.get(key) or self._begun(now, key)
        crowd.outcomes[outcome] += 1
        if end is not None:
            crowd.up += end.up
            crowd.down += end.down
        return False

    def take(self) -> list[Crowd]:
        """Return the sums and start new ones."""
        found, self._found = self._found, {}
        return list(found.values())

    def _begun(self, now: float, key: tuple[str | None, str]) -> Crowd:
        found = self._found
        client, mapping = key
        if len(found) >= MOST_CROWDS:
            client, mapping = key = None, OTHERS
        first = not found
        crowd = found.setdefault(key, Crowd(mapping, client))
        if first:
            self.gathers(self._ends - now)
        return crowd
