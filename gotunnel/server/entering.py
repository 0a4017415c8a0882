"""The visitors that wait for the answer of a server's access policy.

The list outlives the policy that was asked: a reload may replace or remove it while it still owes answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from gotunnel.net.visitor import Visitor

if TYPE_CHECKING:
    from gotunnel.server.peer import Peer

__all__ = ["Entering"]


class Entering:
    """All of one server. `asking` is the question about one visitor; cancelling it ends the visitor."""

    def __init__(self) -> None:
        self._asked: dict[Deferred[Any], tuple[Peer, Visitor]] = {}
        self._given_up: dict[Deferred[Any], Outcome] = {}

    def __iter__(self) -> Iterator[tuple[Peer, Visitor]]:
        """Iterate over the visitors, each with the client that it wants to reach."""
        return iter(tuple(self._asked.values()))

    def add(self, asking: Deferred[Any], peer: Peer, visitor: Visitor) -> None:
        """A visitor begins to wait, until `answered`. If it disconnects, it is given up."""
        visitor.local.on_gone = lambda: self._give_up(asking, Outcome.VISITOR_LEFT)
        self._asked[asking] = peer, visitor

    def answered(self, asking: Deferred[Any]) -> Outcome | None:
        """A question has ended: return the outcome of its visitor if that was given up, otherwise None."""
        self._asked.pop(asking, None)
        return self._given_up.pop(asking, None)

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id; return False if there is none."""
        for asking, (_, visitor) in self._asked.items():
            if visitor.conn == conn:
                self._give_up(asking, Outcome.STOPPED)
                return True
        return False

    def turn_away(self) -> None:
        """The server stops: reset all of them."""
        for asking in tuple(self._asked):
            self._give_up(asking, Outcome.STOPPED)

    def _give_up(self, asking: Deferred[Any], outcome: Outcome) -> None:
        if asking in self._asked:
            self._given_up[asking] = outcome
            asking.cancel()
