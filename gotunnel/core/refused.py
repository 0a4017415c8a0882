"""Remembers the mappings that a client requested and was refused, for display. Refuses nothing itself.

The list is bounded, because the client decides how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Refusal", "RefusedMappings"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused mapping.

    `address` is the address requested, `since` the monotonic time when it was first refused for this reason.
    """

    name: str
    address: str
    code: str
    reason: str
    since: float


class RefusedMappings:
    """The refused mappings of one session, iterated in the order in which they were last requested."""

    def __init__(self) -> None:
        self._found: dict[str, Refusal] = {}

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Refusal]:
        return iter(tuple(self._found.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def add(self, refusal: Refusal, most: int) -> None:
        """Add a refusal, or repeat one. Beyond `most`, those requested longest ago are forgotten."""
        before = self._found.pop(refusal.name, None)
        if before is not None and (before.address, before.code, before.reason) == (
            refusal.address, refusal.code, refusal.reason
        ):  # fmt: skip
            refusal = before
        self._found[refusal.name] = refusal
        while len(self._found) > most:
            del self._found[next(iter(self._found))]

    def forget(self, names: Iterable[str]) -> None:
        """Remove mappings that have been granted or are no longer wanted."""
        for name in names:
            self._found.pop(name, None)

    def clear(self) -> None:
        """Remove all of them."""
        self._found.clear()
