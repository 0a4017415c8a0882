"""Which visitors have a line of their own in the log when they are over, and the sums of the others: whoever reaches a
port decides how many there are, and is not to fill the log. Nothing gets lost but the lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import Sentence

__all__ = ["MOST_IN_ALL", "MOST_LINES", "OTHERS", "WINDOW", "Crowd", "Crowds"]

WINDOW = 10.0
"""Seconds in which lines are counted, and that a sum is about."""
MOST_LINES = 100
"""Visitors of one mapping that have a line each in that time."""
MOST_IN_ALL = 500
"""The same of all mappings together, of which a client can have many."""
MOST_CROWDS = 64
"""Mappings with a sum of their own; what more there are share one."""
OTHERS = "*"


@dataclass(slots=True)
class Crowd:
    """The visitors of one mapping that have no line each. `client` is whose it is, where there are several."""

    mapping: str
    client: str | None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    up: int = 0
    down: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return self.outcomes.total()

    @property
    def words(self) -> str:
        """How they fared, the most frequent first."""
        return Sentence.joined(", ", (
            Sentence("{outcome} {count}", outcome=Sentence.word(WORDS[outcome]), count=count)
            for outcome, count in self.outcomes.most_common()
        ))  # fmt: skip


class Crowds:
    """All of one process. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.gathers: Callable[[float], None] = lambda seconds: None
        """Called when the first visitor goes without a line, with the time after which the sums are to be taken."""
        self._ends = 0.0
        self._in_all = 0
        self._lines: dict[tuple[str | None, str], int] = {}
        self._found: dict[tuple[str | None, str], Crowd] = {}

    def has_line(
        self, now: float, mapping: str, outcome: Outcome, end: StreamEnd | None, client: str | None = None
    ) -> bool:
        """Say whether a visitor who is over has a line; if not, he is in the next sum."""
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
        """Return the sums, which begin anew."""
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
