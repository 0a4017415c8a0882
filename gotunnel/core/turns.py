"""Shares a limited number of places among askers, so that none can take all: a quota for each, and turns between them.

What happens in a place, and when it ends, is up to the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Turns"]

Item = TypeVar("Item", bound=Hashable)


class Turns(Generic[Item]):
    """`places` in total, of which one asker may hold at most `share`; beyond that it waits for its own places only.

    The last `spare` places are for askers that hold none, so that a few greedy ones cannot make all others wait. At
    most `most` items of each asker may wait.
    """

    def __init__(self, places: int, share: int, spare: int, most: int) -> None:
        self._free = places
        self._share = share
        self._spare = spare
        self._most = most
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, dict[Item, None]] = {}  # askers in the order of their turns among equals

    def wait(self, asker: str, item: Item) -> bool:
        """Queue an item for a place; `take` may grant it at once. Returns False if too many of this asker's wait."""
        queue = self._waiting.setdefault(asker, {})
        if len(queue) >= self._most:
            return False
        queue[item] = None
        return True

    def take(self) -> Item | None:
        """Return the next item that gets a place, or None if there is none.

        Call this until it returns None whenever an item starts to wait or a place becomes free.
        """
        asker = min(self._waiting, key=lambda each: self._held[each], default=None)
        if asker is None or self._free <= (self._spare if self._held[asker] else 0) or self._held[asker] >= self._share:
            return None
        queue = self._waiting.pop(asker)
        item = next(iter(queue))
        del queue[item]
        if queue:
            self._waiting[asker] = queue
        self._held[asker] += 1
        self._free -= 1
        return item

    def leave(self, asker: str) -> None:
        """Free one of this asker's places."""
        self._free += 1
        self._held[asker] -= 1
        if not self._held[asker]:
            del self._held[asker]

    def give_up(self, asker: str, item: Item) -> None:
        """Remove an item from the queue, if it is there."""
        queue = self._waiting.get(asker, {})
        queue.pop(item, None)
        if not queue:
            self._waiting.pop(asker, None)
