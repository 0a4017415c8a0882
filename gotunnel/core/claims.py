"""Records which of several claimants holds a key. Knows no clock and no reasons."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Claims"]

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


class Claims(Generic[K, W]):
    """A one-to-one table of keys and holders: the latest claim wins."""

    def __init__(self) -> None:
        self._holders: dict[K, W] = {}

    def holder(self, key: K) -> W | None:
        """Return the holder of a key, or None."""
        return self._holders.get(key)

    def take(self, key: K, who: W) -> None:
        """Give the key to `who`, which loses any key it held before."""
        self.drop(who)
        self._holders[key] = who

    def drop(self, who: W) -> bool:
        """Release what `who` holds; return whether it held anything."""
        held = [key for key, holder in self._holders.items() if holder is who]
        for key in held:
            del self._holders[key]
        return bool(held)
