"""Which member of a group serves the next visitor. Knows no clients and no clock: members are opaque objects, times are
monotonic seconds, and who is able to serve is for the caller to say."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["SHUN", "Roster"]

M = TypeVar("M", bound=Hashable)

SHUN = 5.0
"""Seconds for which a member that failed a visitor comes behind all others. Without it the one whose target is down
would always have the fewest visitors, and be tried first by each of them."""


@dataclass(slots=True)
class _Member:
    visitors: int = 0
    chosen: int = 0  # in which order it was chosen last
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
        """Take a member in. Raises ValueError for one that is there."""
        if member in self._members:
            raise ValueError("it is a member already")
        self._members[member] = _Member()

    def remove(self, member: M) -> None:
        """Let a member go; what it serves goes on uncounted. One that is not there is none of ours."""
        self._members.pop(member, None)

    def visitors(self, member: M) -> int:
        """Return how many visitors a member has, served or waiting."""
        return self._members[member].visitors

    def choose(self, now: float, able: Callable[[M], bool], tried: Container[M] = ()) -> M | None:
        """Return the member with the fewest visitors of those that are able and that this visitor has not tried; None
        when there is none. Of several the one whose turn is the longest ago; one that failed lately comes last."""
        best: M | None = None
        least: tuple[bool, int, int] | None = None
        for member, facts in self._members.items():
            key = (facts.shunned_until > now, facts.visitors, facts.chosen)
            if (least is None or key < least) and member not in tried and able(member):
                best, least = member, key
        return best

    def took(self, member: M) -> None:
        """A visitor goes to this member."""
        self._choices += 1
        facts = self._members.get(member)
        if facts is not None:
            facts.visitors += 1
            facts.chosen = self._choices

    def gave(self, member: M) -> None:
        """A visitor is there no more."""
        facts = self._members.get(member)
        if facts is not None:
            facts.visitors -= 1

    def failed(self, member: M, now: float) -> None:
        """A member could not serve a visitor."""
        facts = self._members.get(member)
        if facts is not None:
            facts.shunned_until = now + SHUN

    def forgive(self, member: M) -> None:
        """Whatever was wrong with a member is over: its target has answered, or its client is back."""
        facts = self._members.get(member)
        if facts is not None:
            facts.shunned_until = float("-inf")
