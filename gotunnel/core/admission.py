"""How many connections may be unauthenticated at once, in all and per address. Closes none itself: it names
the one."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from gotunnel.core.sources import source_of

__all__ = ["Admission", "Ticket"]


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """The place of one unauthenticated connection. `group` is its IPv4 address or IPv6 /64, `since` in
    monotonic seconds."""

    group: str
    since: float


class Admission:
    """Counts the connections between accept and a verified first message, and makes room for new ones.

    A newcomer is always let in: when a limit is reached, the oldest connection of the most crowded address
    makes way. So silent peers push out each other, and somebody who authenticates in a blink gets through a
    flood; turning newcomers away would let a few hundred silent sockets lock everybody out.
    """

    def __init__(self, total: int = 256, per_address: int = 32) -> None:
        if total < 1 or per_address < 1:
            raise ValueError(f"an admission of total={total}, per_address={per_address}")
        self._total = total
        self._per_address = per_address
        self._groups: dict[str, dict[Ticket, None]] = {}
        self._count = 0

    def use(self, total: int, per_address: int) -> None:
        """Let so many in from now on; nobody who is there has to go for it."""
        self._total, self._per_address = total, per_address

    def __len__(self) -> int:
        """How many connections are unauthenticated now."""
        return self._count

    def count(self, address: str) -> int:
        """How many of them share this address, or its /64."""
        return len(self._groups.get(source_of(address), ()))

    def admit(self, address: str, now: float, expected: int = 0) -> tuple[Ticket, Ticket | None]:
        """Let a connection in. Returns its ticket, and that of the connection to abort at once, if any. As many as are
        `expected` from this address may be there beyond its limit.

        The victim's ticket is released already; releasing it again is harmless.
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
        """The connection is authenticated or gone. False if its ticket was released before."""
        tickets = self._groups.get(ticket.group)
        if tickets is None or ticket not in tickets:
            return False
        del tickets[ticket]
        if not tickets:
            del self._groups[ticket.group]
        self._count -= 1
        return True
