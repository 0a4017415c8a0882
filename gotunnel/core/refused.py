"""What one client asks for and does not get: kept for who wants to see it, and bounded, since the client decides how
much that is. Refuses nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Refusal", "RefusedMappings"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One mapping that was asked for in vain. `address` is what was asked for; `since` is the monotonic time at which
    it was first refused for this reason."""

    name: str
    address: str
    code: str
    reason: str
    since: float


class RefusedMappings:
    """Those of one session. Iterating gives them in the order in which they were last asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Refusal] = {}

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Refusal]:
        return iter(tuple(self._found.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def add(self, refusal: Refusal, most: int) -> None:
        """One was refused, perhaps again. Of more than `most` those that were asked for longest ago are forgotten."""
        before = self._found.pop(refusal.name, None)
        if before is not None and (before.address, before.code, before.reason) == (
            refusal.address, refusal.code, refusal.reason
        ):  # fmt: skip
            refusal = before
        self._found[refusal.name] = refusal
        while len(self._found) > most:
            del self._found[next(iter(self._found))]

    def forget(self, names: Iterable[str]) -> None:
        """These are granted, or wanted no more."""
        for name in names:
            self._found.pop(name, None)

    def clear(self) -> None:
        """Nobody asks for any of them."""
        self._found.clear()
