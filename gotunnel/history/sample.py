"""From the counters of a process to the rows to write: only what is new since the last write. What could not be written
is in the next sample. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gotunnel.core.accounts import Account, Accounts, Running
from gotunnel.errors import printable

__all__ = ["ALL", "LONGEST_NAME", "Row", "Sample"]

ALL = "*"
"""Stands for all clients. A row without a mapping stands for a whole client, and has only a peak."""
LONGEST_NAME = 200


class Row(NamedTuple):
    """What is added to one mapping."""

    client: str
    mapping: str
    up: int
    down: int
    streams: int
    failures: int
    peak: int


class _Taken(NamedTuple):
    account: Account
    told: tuple[int, ...]
    peak: int


class Sample:
    """A sample for the piece of time that begins at `time`. Afterwards `written` or `lost` must be called. `own` is the
    client's name if the process is a client; all accounts are then its own."""

    def __init__(self, accounts: Accounts, running: Iterable[Running], time: int, own: str | None) -> None:
        self.time = time
        self.rows: list[Row] = []
        self._accounts = accounts
        self._own = own
        self._taken: list[_Taken] = []
        ups: dict[Account, int] = {}
        downs: dict[Account, int] = {}
        for account, (up, down) in running:
            if account is not None:
                ups[account] = ups.get(account, 0) + up
                downs[account] = downs.get(account, 0) + down
        for account in accounts:
            up, down = account.up + ups.get(account, 0), account.down + downs.get(account, 0)
            self._take(account, (up, down, account.streams, account.failures))
        for account in accounts.sums:
            self._take(account, (0, 0, 0, 0))

    def written(self) -> None:
        """The whole sample is in the file."""
        for taken in self._taken:
            taken.account.told = taken.told
        for account in tuple(self._accounts):
            now = (account.up, account.down, account.streams, account.failures)
            known = account.told is not None and all(old >= new for old, new in zip(account.told, now, strict=False))
            if known and not account.here and not account.peak:
                self._accounts.drop(account)

    def lost(self) -> None:
        """The sample could not be written."""
        for taken in self._taken:
            taken.account.peak = max(taken.account.peak, taken.peak)

    def _take(self, account: Account, now: tuple[int, int, int, int]) -> None:
        before = account.told or (0, 0, 0, 0, 0, 0)
        # A stream that ends between two samples may be counted twice in one of them; the next one is right.
        whole = [max(new, old) for new, old in zip(now, before, strict=False)]
        added = [new - old for new, old in zip(whole, before, strict=False)]
        peak, account.peak = account.peak, account.here
        if not any(added) and (not peak or (before[4] == self.time and peak <= before[5])):
            return
        most = max(peak, before[5]) if before[4] == self.time else peak
        self._taken.append(_Taken(account, (*whole, self.time, most), peak))
        mapping = "" if account.mapping is None else printable(account.mapping, LONGEST_NAME)
        client = ALL if account.client is None else printable(account.client, LONGEST_NAME)
        if self._own is not None and account.client is not None:
            client = self._own
        self.rows.append(Row(client, mapping, added[0], added[1], added[2], added[3], peak))
