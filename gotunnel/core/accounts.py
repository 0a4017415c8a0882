"""What each mapping of each client has carried since the process started, for a history to read. Names come from peers:
there is a most of them, and what is beyond that is counted together. Knows no clock and no file."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["MOST", "MOST_OF_CLIENT", "OTHERS", "Account", "Accounts", "Running"]

OTHERS = "(others)"
"""The name under which those are counted for whom there is no place."""
MOST = 10_000
"""Accounts at a time."""
MOST_OF_CLIENT = 2_000
"""Those of one client at a server, so that the names it invents push nobody else out."""


class Account:
    """One mapping of one client; without a mapping all of a client, without a client everything: of those only how many
    visitors are `here` is kept. What is past only grows."""

    __slots__ = ("client", "down", "failures", "here", "mapping", "peak", "size", "streams", "told", "up", "within")

    def __init__(self, client: str | None, mapping: str | None, within: Account | None) -> None:
        self.client = client
        self.mapping = mapping
        self.within = within
        self.size = 0
        """How many accounts are within this one."""
        self.streams = 0
        """Visitors since the start."""
        self.failures = 0
        """Those that were not served, or cut, and did not leave by themselves."""
        self.up = 0
        """Bytes of those that are over, to the target; and `down` back."""
        self.down = 0
        self.here = 0
        self.peak = 0
        """The most that were here at a time, since somebody last looked."""
        self.told: tuple[int, ...] | None = None
        """Belongs to who looks."""


Running = tuple[Account | None, tuple[int, int]]
"""One who is served now: what he is counted on, and his bytes so far."""


class Accounts:
    """All of one process."""

    def __init__(self, most_of_client: int = MOST_OF_CLIENT) -> None:
        self._most_of_client = most_of_client
        self.kept = False
        """Somebody reads what is past: an account without visitors stays until it is dropped."""
        self.opened = 0
        """Visitors that came since the start."""
        self.all = Account(None, None, None)
        self._table: dict[tuple[str, str], Account] = {}
        self._clients: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Account]:
        """Those of mappings."""
        return iter(self._table.values())

    @property
    def sums(self) -> Iterator[Account]:
        """Those of clients, and that of all."""
        yield self.all
        yield from self._clients.values()

    def came(self, client: str, mapping: str) -> Account:
        """A visitor of this mapping is here. Return the account that he is counted on until he has `left`: that of the
        mapping, or one for several."""
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
        """A visitor who has not been served yet goes to another client: he has come to both, and is one. Return his
        account from now on."""
        other = self.came(client, mapping)
        self.opened -= 1
        self.left(account)
        return other

    def left(self, account: Account) -> None:
        """He is here no more. An account of which nobody wants to know any more is forgotten with its last visitor."""
        each: Account | None = account
        while each is not None:
            each.here -= 1
            each = each.within
        if not account.here and not self.kept:
            self.drop(account)

    def drop(self, account: Account) -> None:
        """Forget an account without visitors, of which nobody wants to know any more."""
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
