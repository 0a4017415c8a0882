"""Which of several claimants holds what. Knows no clock and no reason why."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Claims"]

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


class Claims(Generic[K, W]):
    """Each key has one holder at most, and each holder one key at most: who comes last has it."""

    def __init__(self) -> None:
        self._holders: dict[K, W] = {}

    def holder(self, key: K) -> W | None:
        """Return who holds it."""
        return self._holders.get(key)

    def take(self, key: K, who: W) -> None:
        """It is his from now on, and no other one is."""
        self.drop(who)
        self._holders[key] = who

    def drop(self, who: W) -> bool:
        """He holds nothing any more; return whether he did."""
        held = [key for key, holder in self._holders.items() if holder is who]
        for key in held:
            del self._holders[key]
        return bool(held)
