"""Traffic counters per client and mapping since the process started, read by the traffic history.

Names come from peers, so the number of accounts is bounded; beyond the limit they share one. Knows no clock or files.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["MOST", "MOST_OF_CLIENT", "OTHERS", "Account", "Accounts", "Running"]

OTHERS = "(others)"
"""The name of the account shared by all mappings for which no account is left."""
MOST = 10_000
"""The maximum number of accounts."""
MOST_OF_CLIENT = 2_000
"""The maximum per client at a server, so that a client cannot use up all accounts with invented names."""


class Account:
    """The counters of one mapping of one client. `streams`, `failures`, `up` and `down` only grow.

    There are also sums: `mapping` is None for all of a client, and `client` is None too for everything. Sums only keep
    `here` and `peak`, the number of current visitors.
    """

    __slots__ = ("client", "down", "failures", "here", "mapping", "peak", "size", "streams", "told", "up", "within")

    def __init__(self, client: str | None, mapping: str | None, within: Account | None) -> None:
        self.client = client
        self.mapping = mapping
        self.within = within
        self.size = 0
        """For the sum of a client: the number of its accounts."""
        self.streams = 0
        """Visitors so far."""
        self.failures = 0
        """Visitors that were not served or were disconnected, other than by their own doing."""
        self.up = 0
        """Bytes of finished visitors to the target; `down` counts those in the other direction."""
        self.down = 0
        self.here = 0
        self.peak = 0
        """The highest value of `here` since it was last read."""
        self.told: tuple[int, ...] | None = None
        """Reserved for the reader of the accounts."""


Running = tuple[Account | None, tuple[int, int]]
"""A visitor being served: its account, and its bytes so far (to the target, and back)."""


class Accounts:
    """All accounts of one process."""

    def __init__(self, most_of_client: int = MOST_OF_CLIENT) -> None:
        self._most_of_client = most_of_client
        self.kept = False
        """Whether somebody reads the counters. If so, an account without visitors stays until it is dropped."""
        self.opened = 0
        """Visitors since the start."""
        self.all = Account(None, None, None)
        self._table: dict[tuple[str, str], Account] = {}
        self._clients: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Account]:
        """Iterate over the accounts of mappings."""
        return iter(self._table.values())

    @property
    def sums(self) -> Iterator[Account]:
        """The sum of everything, then those of the clients."""
        yield self.all
        yield from self._clients.values()

    def came(self, client: str, mapping: str) -> Account:
        """Count a new visitor of this mapping.

        Returns the account to pass to `left` later: that of the mapping, or a shared one.
        """
        account = self._table.get((client, mapping)) or self._made(client, mapping)
        self.opened += 1
        account.streams += 1
        each: Account | None = account
        while each is not None:
            each.here += 1
            if each.here > each.peak:
                each.peak = each.here
            each = each.within
        return account

    def moved(self, account: Account, client: str, mapping: str) -> Account:
        """Move a visitor that has not been served yet to another client, and return its new account.

        Both accounts count the visitor, but the process counts it once.
        """
        other = self.came(client, mapping)
        self.opened -= 1
        self.left(account)
        return other

    def left(self, account: Account) -> None:
        """Count a visitor as finished. If nobody reads the counters, this drops the account with its last visitor."""
        each: Account | None = account
        while each is not None:
            each.here -= 1
            each = each.within
        if not account.here and not self.kept:
            self.drop(account)

    def drop(self, account: Account) -> None:
        """Forget an account that has no visitors and is no longer needed."""
        assert not account.here and account.client is not None and account.mapping is not None
        within = account.within
        assert within is not None
        del self._table[account.client, account.mapping]
        within.size -= 1
        if not within.size:
            del self._clients[account.client]

    def _made(self, client: str, mapping: str) -> Account:
        within = self._clients.get(client)
        if len(self._table) >= MOST:
            client = mapping = OTHERS
        elif within is not None and within.size >= self._most_of_client:
            mapping = OTHERS
        known = self._table.get((client, mapping))
        if known is not None:
            return known
        within = self._clients.get(client)
        if within is None:
            within = self._clients[client] = Account(client, None, self.all)
        within.size += 1
        made = self._table[client, mapping] = Account(client, mapping, within)
        return made
