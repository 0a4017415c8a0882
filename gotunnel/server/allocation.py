"""Chooses a port for a mapping that leaves the choice to the server: asks a port allocator, with a time limit.

Also contains gotunnel's own allocators. Whether the mapping may have the port is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from gotunnel.config.plugged import AllocatorConfig
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.ports import PortSet, Wish
from gotunnel.errors import PortUnavailable, printable
from gotunnel.interfaces import IPortAllocator
from gotunnel.logs import Logger
from gotunnel.net.answers import answer
from gotunnel.net.plugged import made

if TYPE_CHECKING:
    from gotunnel.config.portoptions import StickyOptions

__all__ = ["MOST_CANDIDATES", "Allocation", "AnyPort", "StickyPort", "any_ports"]

MOST_CANDIDATES = 64
"""The number of ports that are tried. If half of the allowed ports are taken, all fail with a probability of 2**-64."""
PATIENCE = 5.0
"""Seconds that an allocator has for an answer."""


def any_ports(allowed: PortSet) -> Iterator[int]:
    """Yield random ports from `allowed`, endlessly unless it is empty."""
    ranges = allowed.ranges
    weights = [high - low + 1 for low, high in ranges]
    while ranges:
        # No cryptographic randomness needed: open ports can be found by scanning.
        low, high = random.choices(ranges, weights)[0]  # noqa: S311
        yield random.randint(low, high)  # noqa: S311


class Allocation:
    """The port allocator of a server. Raises GotunnelError if the plugin cannot be made."""

    log = Logger()

    def __init__(self, reactor: Any, config: AllocatorConfig) -> None:
        self.config = config
        self._reactor = reactor
        self._name = config.plugin
        self._lines = LogLimit(rate=0.2, burst=5)
        self._allocator: IPortAllocator = made("ports", config, reactor)

    async def candidates(self, wish: Wish) -> list[int]:
        """Return the ports to try. Raises PortUnavailable (port_in_use) if the allocator fails."""
        try:
            found = await answer(self._reactor, PATIENCE, self._allocator.candidates, wish)
            return [int(port) for port in islice(found, MOST_CANDIDATES)]
        except (Exception, SystemExit) as error:  # a third-party plugin may try to exit the process
            # Limited, because clients decide how often they ask.
            more = self._lines.more(wish.client, self._reactor.seconds())
            if more is not None:
                self.log.failure(
                    "the port allocator {allocator} has failed for mapping {mapping} of client {client}{more}",
                    allocator=self._name, mapping=printable(wish.mapping), client=wish.client,
                    more=more,
                )  # fmt: skip
            raise PortUnavailable("port_in_use", "the server's port allocator has no answer") from error


@implementer(IPortAllocator)
class AnyPort:
    """Proposes random ports among the allowed ones."""

    def __init__(self, reactor: Any, options: object) -> None: ...

    def candidates(self, wish: Wish) -> Iterable[int]:
        """See IPortAllocator."""
        return any_ports(wish.allowed)


@implementer(IPortAllocator)
class StickyPort:
    """Proposes the same port for the same mapping of the same client, unless it is taken: then the next ones.

    The port stays the same after a restart, and on other servers with the same options.
    """

    def __init__(self, reactor: Any, options: StickyOptions) -> None:
        self._ports = None if options.ports is None else PortSet.parse(options.ports)

    def candidates(self, wish: Wish) -> Iterator[int]:
        """See IPortAllocator."""
        ranges = [
            (max(low, lowest), min(high, highest))
            for low, high in wish.allowed.ranges
            for lowest, highest in (wish.allowed if self._ports is None else self._ports).ranges
            if max(low, lowest) <= min(high, highest)
        ]
        size = sum(high - low + 1 for low, high in ranges)
        digest = hashlib.sha256(f"{wish.client}\0{wish.mapping}".encode()).digest()
        for step in range(size):
            place = (int.from_bytes(digest[:8], "big") + step) % size
            for low, high in ranges:
                if place <= high - low:
                    yield low + place
                    break
                place -= high - low + 1
