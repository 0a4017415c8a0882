"""Where visitors wait for a leg, for a limited time, until they get one, disconnect, or are turned away. Which leg they
get is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from gotunnel.core.outcome import Outcome
from gotunnel.net.visitor import Visitor, Waiting

__all__ = ["Lobby"]


class Lobby:
    """The waiting visitors of one role. It outlives sessions. `turned_away(visitor, outcome)` is called for each
    visitor that ends without a leg: it was reset, or has disconnected."""

    def __init__(self, clock: Any, patience: float, turned_away: Callable[[Visitor, Outcome], None]) -> None:
        self.waiting = {plain: Waiting(patience) for plain in (False, True)}
        """The waiting visitors by kind of leg: inside TLS (False) or plain (True)."""
        self._clock = clock
        self._turned_away = turned_away
        self._expiry: IDelayedCall | None = None

    @property
    def pending(self) -> int:
        """How many visitors wait."""
        return sum(map(len, self.waiting.values()))

    def use(self, patience: float) -> None:
        """Set the time that visitors wait, in seconds. Those that wait already are included."""
        for waiting in self.waiting.values():
            waiting.patience = patience
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
            self._plan()

    def wait(self, visitor: Visitor) -> None:
        """Let a visitor wait, and notice if it disconnects. (Once it has a leg, the leg reports that.)"""
        visitor.local.on_gone = lambda: self._gone(visitor)
        self.waiting[visitor.plain].add(visitor, self._clock.seconds())
        self._plan()

    def turn_away(self, visitors: list[Visitor], outcome: Outcome) -> None:
        """Reset visitors that no longer wait, unless something else serves them."""
        for visitor in visitors:
            if not visitor.elsewhere(outcome, None):
                visitor.local.abort()
                self._turned_away(visitor, outcome)

    def turn_away_all(self, outcome: Outcome, mapping: str | None = None) -> None:
        """Reset all waiting visitors, or those of one mapping."""
        for waiting in self.waiting.values():
            self.turn_away(waiting.take_all(mapping), outcome)
        if not self.pending and self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id, whoever else could serve it; return False if it does not wait here."""
        for waiting in self.waiting.values():
            for visitor in waiting:
                if visitor.conn == conn:
                    waiting.leave(visitor)
                    visitor.local.abort()
                    self._turned_away(visitor, Outcome.STOPPED)
                    return True
        return False

    def _gone(self, visitor: Visitor) -> None:
        if self.waiting[visitor.plain].leave(visitor):
            self._turned_away(visitor, Outcome.VISITOR_LEFT)

    def _plan(self) -> None:
        now = self._clock.seconds()
        times = [t for t in (waiting.next_expiry(now) for waiting in self.waiting.values()) if t is not None]
        if times and self._expiry is None:
            self._expiry = self._clock.callLater(min(times), self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for waiting in self.waiting.values():
            self.turn_away(waiting.expired(self._clock.seconds()), Outcome.NO_LEG)
        self._plan()
