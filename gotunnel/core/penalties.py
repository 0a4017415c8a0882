"""Which sources of connections are refused for a while, because logins from there failed. In the manner of OpenSSH's
PerSourcePenalties (sshd_config(5)). Closes nothing and writes nothing."""

from __future__ import annotations

import heapq
import ipaddress
import itertools
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from gotunnel.core.sources import source_of

__all__ = ["Offence", "Pardon", "Penalties"]

KNOWN_FOR = 3600.0
"""Seconds after a proof during which its source pays nothing for connections that prove nothing."""
KNOWN_SOURCES = 4096


class Offence(Enum):
    """What costs something."""

    AUTH_FAILURE = "auth_failure"
    """A proof that is wrong: somebody guesses, or has a wrong token."""
    NO_AUTH = "no_auth"
    """No proof within the time, or what is not our protocol: somebody scans, or holds places."""


@dataclass(frozen=True, slots=True)
class Pardon:
    """The end of one refusal: the source, and how many connections were refused."""

    source: str
    refused: int


@dataclass(slots=True, eq=False)
class _Penalty:
    source: str
    until: float
    active: bool = False
    refused: int = 0


class Penalties:
    """Seconds of penalty for each source. They add up, up to `maximum`, and pass with time. Once more than `minimum`
    are outstanding the source is refused until all have passed; so one client with a wrong token, which tries again
    every few seconds, is never refused, and a guesser is after a moment.

    A proof that succeeds takes nothing off: a neighbour behind the same address would buy the guesser free. But a
    source from which somebody proved himself of late pays nothing for NO_AUTH: two hundred clients behind one address
    that meet a busy server are no attack.

    At most `table` sources are remembered; beyond that, the penalty that would end first ends. `exempt` are networks
    that never pay. Times are monotonic seconds and do not go back. Raises ValueError for numbers or networks that make
    no table.
    """

    def __init__(
        self,
        auth_failure: float = 5.0,
        no_auth: float = 1.0,
        minimum: float = 15.0,
        maximum: float = 600.0,
        table: int = 65536,
        exempt: Iterable[str] = (),
    ) -> None:
        if not (0 <= minimum <= maximum and auth_failure >= 0 and no_auth >= 0 and table >= 1):
            raise ValueError(f"penalties of minimum={minimum}, maximum={maximum}, table={table}")
        self._set(auth_failure, no_auth, minimum, maximum, table, exempt)
        self._penalties: dict[str, _Penalty] = {}
        # One item for each penalty, its time no later than the penalty's end, which only ever moves away.
        self._ends: list[tuple[float, int, _Penalty]] = []
        self._numbers = itertools.count()
        self._active = 0
        self._pardons: list[Pardon] = []
        self._known: OrderedDict[str, float] = OrderedDict()

    def _set(
        self, auth_failure: float, no_auth: float, minimum: float, maximum: float, table: int, exempt: Iterable[str]
    ) -> None:
        self._costs = {Offence.AUTH_FAILURE: auth_failure, Offence.NO_AUTH: no_auth}
        self._minimum = minimum
        self._maximum = maximum
        self._table = table
        self._exempt = [ipaddress.ip_network(network, strict=False) for network in exempt]

    def use(
        self,
        auth_failure: float,
        no_auth: float,
        minimum: float,
        maximum: float,
        table: int,
        exempt: Iterable[str],
        now: float,
    ) -> None:
        """Charge these from now on. What is outstanding stays, up to the new maximum; networks that are exempt now are
        let in at once, and so are sources beyond the size of the table."""
        self._set(auth_failure, no_auth, minimum, maximum, table, exempt)
        for penalty in self._penalties.values():
            until = now if self._is_exempt(penalty.source) else min(penalty.until, now + maximum)
            penalty.until = until
        self._ends = [(penalty.until, next(self._numbers), penalty) for penalty in self._penalties.values()]
        heapq.heapify(self._ends)
        self._expire(now)
        self._make_room()

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._penalties)

    @property
    def active(self) -> int:
        """How many sources are refused."""
        return self._active

    def charge(self, address: str, offence: Offence, now: float) -> float:
        """Let the source of `address` pay. Returns for how many seconds it is refused if that begins now, else 0."""
        cost, source = self._costs[offence], source_of(address)
        if not cost or (offence is Offence.NO_AUTH and self._is_known(source, now)) or self._is_exempt(source):
            return 0.0
        self._expire(now)
        penalty = self._penalties.get(source)
        if penalty is None:
            penalty = self._penalties[source] = _Penalty(source, now)
            self._make_room()
            heapq.heappush(self._ends, (now, next(self._numbers), penalty))
        penalty.until = min(now + self._maximum, penalty.until + cost)
        if penalty.active or penalty.until - now <= self._minimum:
            return 0.0
        penalty.active = True
        self._active += 1
        return penalty.until - now

    def refuses(self, address: str, now: float) -> bool:
        """Say whether a connection from there is to be refused, and count it if so."""
        if not self._active:
            return False
        penalty = self._penalties.get(source_of(address))
        if penalty is None or not penalty.active or penalty.until <= now:
            return False
        penalty.refused += 1
        return True

    def proved(self, address: str, now: float) -> None:
        """Somebody from there has proved himself."""
        source = source_of(address)
        self._known[source] = now
        self._known.move_to_end(source)
        if len(self._known) > KNOWN_SOURCES:
            self._known.popitem(last=False)

    def pardons(self, now: float) -> list[Pardon]:
        """Return the refusals that have ended since the last call."""
        self._expire(now)
        over, self._pardons = self._pardons, []
        return over

    def next_pardon(self, now: float) -> float | None:
        """Return in how many seconds to ask for `pardons` again, None while nobody is refused."""
        return max(0.0, self._first().until - now) if self._active else None

    def _is_known(self, source: str, now: float) -> bool:
        proved = self._known.get(source)
        return proved is not None and now - proved < KNOWN_FOR

    def _is_exempt(self, source: str) -> bool:
        try:
            network = ipaddress.ip_network(source)
        except ValueError:
            return True  # not from a network
        return any(_within(network, exempt) for exempt in self._exempt)

    def _expire(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            penalty = self._first()
            if penalty.until > now:
                break
            self._forget_first()

    def _make_room(self) -> None:
        while len(self._penalties) > self._table:
            self._first()
            self._forget_first()

    def _first(self) -> _Penalty:
        """Bring the penalty that ends first to the top of the heap, and return it."""
        while True:
            time, number, penalty = self._ends[0]
            if time == penalty.until:
                return penalty
            heapq.heapreplace(self._ends, (penalty.until, number, penalty))

    def _forget_first(self) -> None:
        _, _, penalty = heapq.heappop(self._ends)
        del self._penalties[penalty.source]
        if penalty.active:
            self._active -= 1
            self._pardons.append(Pardon(penalty.source, penalty.refused))


def _within(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, other: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    # An IPv6 source is a /64: an exempt address within it exempts all of it, as nobody can tell them apart.
    return network.version == other.version and network.overlaps(other)
