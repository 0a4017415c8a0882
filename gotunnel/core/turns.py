"""Who has one of a few places next, where some would take all of them: a share for each asker, and turns between them.
What is done in a place is for the caller to know, and when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Turns"]

Item = TypeVar("Item", bound=Hashable)


class Turns(Generic[Item]):
    """`places` in all, and `share` of them at most for one asker, who then waits behind himself only. The last `spare`
    places are for askers who have none, so that a few greedy ones do not keep everybody else waiting. Of each asker
    `most` items may wait."""

    def __init__(self, places: int, share: int, spare: int, most: int) -> None:
        self._free = places
        self._share = share
        self._spare = spare
        self._most = most
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, dict[Item, None]] = {}  # in the order of their turns, where they hold as many

    def wait(self, asker: str, item: Item) -> bool:
        """Let an item wait for a place; `take` may give it one at once. False when too many of this asker's wait."""
        queue = self._waiting.setdefault(asker, {})
        if len(queue) >= self._most:
            return False
        queue[item] = None
        return True

    def take(self) -> Item | None:
        """Return who has a place from now on, or None while nobody can have one. To be called until it says None,
        whenever something waits or leaves."""
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
        """One of this asker's places is free again."""
        self._free += 1
        self._held[asker] -= 1
        if not self._held[asker]:
            del self._held[asker]

    def give_up(self, asker: str, item: Item) -> None:
        """An item waits no more. Harmless when it does not wait."""
        queue = self._waiting.get(asker, {})
        queue.pop(item, None)
        if not queue:
            self._waiting.pop(asker, None)
