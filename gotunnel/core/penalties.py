"""Decides which sources of connections to refuse for a while after failed logins. Closes nothing and writes nothing.

Modelled on OpenSSH's PerSourcePenalties (sshd_config(5)).
"""

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
"""Seconds after a successful login during which its source is not charged for connections that prove nothing."""
KNOWN_SOURCES = 4096


class Offence(Enum):
    """What a source is charged for."""

    AUTH_FAILURE = "auth_failure"
    """A wrong proof: somebody is guessing, or has a wrong token."""
    NO_AUTH = "no_auth"
    """No proof in time, or a different protocol: somebody is scanning, or occupying slots."""


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
    """Seconds of penalty per source.

    Penalties add up to at most `maximum` and expire with time. Once a source has more than `minimum` outstanding, it is
    refused until all have expired. So a client with a wrong token that retries every few seconds is never refused,
    while a guesser soon is.

    A successful proof does not reduce a penalty: otherwise a neighbour behind the same address could clear that of a
    guesser. But a source with a recent proof is not charged for NO_AUTH: two hundred clients behind one address that
    meet a busy server are not an attack.

    At most `table` sources are remembered; beyond that, the penalty that would end first is dropped. `exempt` are
    networks that are never charged. Times are monotonic seconds and must not go back. Raises ValueError for
    inconsistent numbers or invalid networks.
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
        # One item per penalty. Its time is never later than the penalty's end, which only moves later.
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
        """Apply new settings.

        Outstanding penalties stay, up to the new maximum. Networks that are now exempt are admitted at once, and so are
        sources that no longer fit into the table.
        """
        self._set(auth_failure, no_auth, minimum, maximum, table, exempt)
        for penalty in self._penalties.values():
            until = now if self._is_exempt(penalty.source) else min(penalty.until, now + maximum)
            penalty.until = until
        self._ends = [(penalty.until, next(self._numbers), penalty) for penalty in self._penalties.values()]
        heapq.heapify(self._ends)
        self._expire(now)
        self._make_room()

    def __len__(self) -> int:
        """The number of sources remembered."""
        return len(self._penalties)

    @property
    def active(self) -> int:
        """The number of sources being refused."""
        return self._active

    def charge(self, address: str, offence: Offence, now: float) -> float:
        """Charge the source of `address`. Returns the seconds of refusal if one begins now, else 0."""
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
        """Return whether connections from this address must be refused."""
        return self._refusing(address, now) is not None

    def count(self, address: str, now: float) -> None:
        """Count a connection from this address that was refused, for its pardon."""
        penalty = self._refusing(address, now)
        if penalty is not None:
            penalty.refused += 1

    def _refusing(self, address: str, now: float) -> _Penalty | None:
        if not self._active:
            return None
        penalty = self._penalties.get(source_of(address))
        return None if penalty is None or not penalty.active or penalty.until <= now else penalty

    def proved(self, address: str, now: float) -> None:
        """Record a successful proof from this address."""
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
        """Return in how many seconds to call `pardons` again, or None while no source is refused."""
        return max(0.0, self._first().until - now) if self._active else None

    def _is_known(self, source: str, now: float) -> bool:
        proved = self._known.get(source)
        return proved is not None and now - proved < KNOWN_FOR

    def _is_exempt(self, source: str) -> bool:
        try:
            network = ipaddress.ip_network(source)
        except ValueError:
            return True  # not an IP address, such as a unix socket
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
        """Move the penalty that ends first to the top of the heap, and return it."""
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
    # An IPv6 source is a /64. An exempt address within it exempts the whole, because they cannot be told apart.
    return network.version == other.version and network.overlaps(other)
