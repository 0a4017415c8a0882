"""The counters of a role since it started: visitors and their outcomes, bytes, waiting times, and legs used."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gotunnel.core.accounts import MOST_OF_CLIENT, Account, Accounts
from gotunnel.core.crowds import Crowds
from gotunnel.core.dropped import Drops
from gotunnel.core.histogram import Histogram
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd

__all__ = ["HARMLESS", "Carried", "Usage"]

HARMLESS = frozenset({Outcome.COMPLETED, Outcome.QUIET, Outcome.RESET_BY_VISITOR, Outcome.VISITOR_LEFT})
"""Outcomes that are not failures. In all others a visitor was not served, or was disconnected by something else."""


class Carried:
    """Counts finished visitors, served or not, and their bytes: `up` from visitor to target, `down` back."""

    __slots__ = ("down", "ended", "up")

    def __init__(self) -> None:
        self.ended = 0
        self.up = 0
        self.down = 0

    def add(self, end: StreamEnd | None) -> None:
        """Count a finished visitor; `end` is None if it never had a leg."""
        self.ended += 1
        if end is not None:
            self.up += end.up
            self.down += end.down


class Usage:
    """The counters of one process.

    Each visitor passes through `began` and `ended` exactly once, so opened less closed is the number of live visitors.
    """

    def __init__(self, most_of_client: int = MOST_OF_CLIENT) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.carried = Carried()
        self.crowds = Crowds()
        """Decides which visitors get a log line."""
        self.accounts = Accounts(most_of_client)
        """Counters by client and mapping, and the current visitors."""
        self.began = self.accounts.came
        """Count a new visitor of a mapping. Returns the account to pass to `ended`."""
        self.moved = self.accounts.moved
        """Move a visitor that has not been served yet to another client. Returns its new account."""
        self.answer = Histogram()
        """Seconds from a request on a leg until the target's answer, at the end that asked."""
        self.dial = Histogram()
        """Seconds that dialling a target took, at the end that dialled."""
        self.first_byte = Histogram()
        """Seconds from a visitor's arrival until the first byte for it."""
        self.legs_created = 0
        self.legs_reused = 0
        """How often a visitor was given a leg that had served one before."""
        self.refused: Counter[str] = Counter()
        """Failed logins, by the code of the refusal. There are only a few codes."""
        self.dropped = Drops()
        """Datagrams that were not carried, by reason."""
        self.observers: Any = None
        """The configured observers that are informed of each visitor, or None."""

    @property
    def opened(self) -> int:
        """Visitors so far."""
        return self.accounts.opened

    @property
    def live(self) -> int:
        """Current visitors, waiting or served."""
        return self.accounts.all.here

    @property
    def closed(self) -> int:
        """Visitors that have finished."""
        return self.opened - self.live

    def ended(
        self, account: Account, outcome: Outcome, end: StreamEnd | None = None, mapping: Carried | None = None
    ) -> None:
        """Count a finished visitor. `mapping` is the counter of its mapping, if that still exists."""
        self.outcomes[outcome] += 1
        if outcome not in HARMLESS:
            account.failures += 1
        carried = self.carried
        carried.ended += 1
        if end is not None:
            up, down = end.up, end.down
            carried.up += up
            carried.down += down
            account.up += up
            account.down += down
            if mapping is not None:
                mapping.up += up
                mapping.down += down
        if mapping is not None:
            mapping.ended += 1
        self.accounts.left(account)
