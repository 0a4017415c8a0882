"""Limits unauthenticated connections, in total and per address. Closes nothing itself: it names which one to abort."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from gotunnel.core.sources import source_of

__all__ = ["Admission", "Ticket"]


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """The slot of one unauthenticated connection.

    `group` is its IPv4 address or IPv6 /64, `since` the time it was admitted, in monotonic seconds.
    """

    group: str
    since: float


class Admission:
    """Counts the connections between accept and a verified first message, and makes room for new ones.

    A new connection is always admitted. If its address has reached its limit, the oldest connection from there is
    aborted; if the total has been reached, the oldest from the address that holds the most. So silent peers displace
    each other, and a client that authenticates quickly gets through a flood. If new connections were refused instead, a
    few hundred silent sockets could lock out everybody.
    """

    def __init__(self, total: int = 256, per_address: int = 32) -> None:
        if total < 1 or per_address < 1:
            raise ValueError(f"an admission of total={total}, per_address={per_address}")
        self._total = total
        self._per_address = per_address
        self._groups: dict[str, dict[Ticket, None]] = {}
        self._count = 0

    def use(self, total: int, per_address: int) -> None:
        """Apply new limits. Connections that are already admitted stay."""
        self._total, self._per_address = total, per_address

    def __len__(self) -> int:
        """The number of unauthenticated connections."""
        return self._count

    def count(self, address: str) -> int:
        """The number of unauthenticated connections from this IPv4 address or IPv6 /64."""
        return len(self._groups.get(source_of(address), ()))

    def admit(self, address: str, now: float, expected: int = 0) -> tuple[Ticket, Ticket | None]:
        """Admit a connection. Returns its ticket, and that of the connection to abort at once, if any.

        `expected` raises the limit of this address by that many. The victim's ticket is already released; releasing it
        again is harmless.
        """
        group = source_of(address)
        victim: Ticket | None = None
        if len(self._groups.get(group, ())) >= self._per_address + expected:
            victim = next(iter(self._groups[group]))
        elif self._count >= self._total:
            crowd = max(map(len, self._groups.values()))
            oldest = (next(iter(tickets)) for tickets in self._groups.values() if len(tickets) == crowd)
            victim = min(oldest, key=attrgetter("since"))
        if victim is not None:
            self.release(victim)
        ticket = Ticket(group, now)
        self._groups.setdefault(group, {})[ticket] = None
        self._count += 1
        return ticket, victim

    def release(self, ticket: Ticket) -> bool:
        """Release a ticket: the connection has authenticated or closed. Returns False if it was already released."""
        tickets = self._groups.get(ticket.group)
        if tickets is None or ticket not in tickets:
            return False
        del tickets[ticket]
        if not tickets:
            del self._groups[ticket.group]
        self._count -= 1
        return True
