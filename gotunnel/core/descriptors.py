"""How the file descriptors of one process are shared out: what stays in reserve, and how much of the rest visitors and
strangers may take. Opens and counts none."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shares"]

LEAST_RESERVE, MOST_RESERVE = 16, 1024


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of a process that may have `limit` descriptors (RLIMIT_NOFILE)."""

    limit: int

    @property
    def reserve(self) -> int:
        """A tenth, but 16 at least and 1,024 at most: kept back from visitors, for legs, control connections, names
        that are looked up, and files."""
        return min(max(LEAST_RESERVE, self.limit // 10), MOST_RESERVE, self.limit // 2)

    @property
    def for_visitors(self) -> int:
        """Below this number descriptors may go to visitors, targets and pipes. The kernel gives out the lowest number
        that is free, so a new descriptor with a higher one means that all below are taken."""
        return self.limit - self.reserve

    @property
    def for_clients(self) -> int:
        """The same for legs and control connections: half of the reserve is theirs."""
        return self.limit - self.reserve // 2

    @property
    def streams(self) -> int:
        """Visitors that can be served at once: each needs two descriptors, that of his leg and his own, or at a client
        his target's. A client brings no more legs than that."""
        return max(1, (self.for_visitors - self.reserve) // 2)

    @property
    def strangers(self) -> int:
        """Connections that may be unauthenticated at once, whatever else is allowed: a quarter."""
        return max(1, self.limit // 4)
