"""Chooses the member of a group that serves the next visitor.

Members are opaque objects and times are monotonic seconds. The caller says which members are able to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["SHUN", "Roster"]

M = TypeVar("M", bound=Hashable)

SHUN = 5.0
"""Seconds for which a member that failed a visitor ranks behind all others. Without this, a member whose target is down
would always have the fewest visitors, and each visitor would try it first."""


@dataclass(slots=True)
class _Member:
    visitors: int = 0
    chosen: int = 0  # sequence number of the last choice
    shunned_until: float = float("-inf")


class Roster(Generic[M]):
    """The members of one group, and how many visitors each has."""

    def __init__(self) -> None:
        self._members: dict[M, _Member] = {}
        self._choices = 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[M]:
        return iter(tuple(self._members))

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def add(self, member: M) -> None:
        """Add a member. Raises ValueError if it is already one."""
        if member in self._members:
            raise ValueError("it is a member already")
        self._members[member] = _Member()

    def remove(self, member: M) -> None:
        """Remove a member, if it is one. Its current visitors are no longer counted."""
        self._members.pop(member, None)

    def visitors(self, member: M) -> int:
        """Return how many visitors a member has, served or waiting."""
        return self._members[member].visitors

    def choose(self, now: float, able: Callable[[M], bool], tried: Container[M] = ()) -> M | None:
        """Return the able member with the fewest visitors, leaving out those in `tried`; None if there is none.

        Among equals, the one chosen longest ago wins. Members that failed recently come last.
        """
        best: M | None = None
        least: tuple[bool, int, int] | None = None
        for member, facts in self._members.items():
            key = (facts.shunned_until > now, facts.visitors, facts.chosen)
            if (least is None or key < least) and member not in tried and able(member):
                best, least = member, key
        return best

    def took(self, member: M) -> None:
        """Record that a visitor goes to this member."""
        self._choices += 1
        facts = self._members.get(member)
        if facts is not None:
            facts.visitors += 1
            facts.chosen = self._choices

    def gave(self, member: M) -> None:
        """Record that a visitor has left this member."""
        facts = self._members.get(member)
        if facts is not None:
            facts.visitors -= 1

    def failed(self, member: M, now: float) -> None:
        """Record that a member could not serve a visitor."""
        facts = self._members.get(member)
        if facts is not None:
            facts.shunned_until = now + SHUN

    def forgive(self, member: M) -> None:
        """Clear a member's failure: its target has answered, or its client has reconnected."""
        facts = self._members.get(member)
        if facts is not None:
            facts.shunned_until = float("-inf")
