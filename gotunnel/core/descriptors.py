"""Shares out a process's file descriptors: a reserve, and limits for visitors and unauthenticated peers.

It opens and counts none.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shares"]

LEAST_RESERVE, MOST_RESERVE = 16, 1024


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of a process whose limit (RLIMIT_NOFILE) is `limit` descriptors."""

    limit: int

    @property
    def reserve(self) -> int:
        """Descriptors withheld from visitors, for legs, control connections, name lookups and files.

        A tenth of the limit, but at least 16 and at most 1,024.
        """
        return min(max(LEAST_RESERVE, self.limit // 10), MOST_RESERVE, self.limit // 2)

    @property
    def for_visitors(self) -> int:
        """Only descriptors below this number may be used for visitors, targets and pipes.

        The kernel assigns the lowest free number, so a new descriptor above this one means that all below are taken.
        """
        return self.limit - self.reserve

    @property
    def for_clients(self) -> int:
        """The same bound for legs and control connections, which may use half of the reserve."""
        return self.limit - self.reserve // 2

    @property
    def streams(self) -> int:
        """The number of visitors that can be served at once, and of legs that a client dials at most.

        A visitor needs two descriptors: its leg and its own connection or, at a client, the one to its target.
        """
        return max(1, (self.for_visitors - self.reserve) // 2)

    @property
    def strangers(self) -> int:
        """The number of connections that may be unauthenticated at once, whatever else is allowed: a quarter."""
        return max(1, self.limit // 4)
