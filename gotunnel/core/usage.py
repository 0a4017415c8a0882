"""What a role has done since it started: visitors and how they fared, their bytes, how long they waited, and the legs
that served them. It only adds up; who reads it reads it whenever he likes."""

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
"""All other outcomes are failures: a visitor was not served, or was cut, and not by himself."""


class Carried:
    """How many visitors were served or not, and the bytes of those that are over: `up` from visitor to target."""

    __slots__ = ("down", "ended", "up")

    def __init__(self) -> None:
        self.ended = 0
        self.up = 0
        self.down = 0

    def add(self, end: StreamEnd | None) -> None:
        """One is over; without `end` it never had a leg."""
        self.ended += 1
        if end is not None:
            self.up += end.up
            self.down += end.down


class Usage:
    """All of one process. Each visitor that `began` has `ended` once, so that what is opened less what is closed is
    what is here."""

    def __init__(self, most_of_client: int = MOST_OF_CLIENT) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.carried = Carried()
        self.crowds = Crowds()
        """Who of them has a line in the log."""
        self.accounts = Accounts(most_of_client)
        """The same by client and mapping, and who is here."""
        self.began = self.accounts.came
        """A visitor of this mapping is here. Returns the account that he is counted on until he has ended."""
        self.moved = self.accounts.moved
        """He goes to another client, and has not been served yet."""
        self.answer = Histogram()
        """Seconds from a request on a leg until the target's answer came back on it, at the end that asked."""
        self.dial = Histogram()
        """Seconds that dialling a target took, at the end that dialled."""
        self.first_byte = Histogram()
        """Seconds from a visitor's arrival until the first byte for him."""
        self.legs_created = 0
        self.legs_reused = 0
        """How often a leg was given a visitor that had served one before."""
        self.refused: Counter[str] = Counter()
        """Logins that failed, by the code of the refusal, of which there is a handful."""
        self.dropped = Drops()
        """Datagrams that were dropped, by reason."""
        self.observers: Any = None
        """Who is told of each visitor beside this, where the configuration names somebody."""

    @property
    def opened(self) -> int:
        """Visitors since the start."""
        return self.accounts.opened

    @property
    def live(self) -> int:
        """Visitors that are here: waiting or served."""
        return self.accounts.all.here

    @property
    def closed(self) -> int:
        """Visitors that are over."""
        return self.opened - self.live

    def ended(
        self, account: Account, outcome: Outcome, end: StreamEnd | None = None, mapping: Carried | None = None
    ) -> None:
        """His time is over. `mapping` adds up for what he came to alone, where that is there still."""
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
