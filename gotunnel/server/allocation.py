"""Which port a mapping gets that leaves it to the server: what a port allocator says, within a time; and the allocators
that gotunnel has. Whether the port may be had is decided elsewhere."""

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
"""How many ports are tried. With half of the allowed ones taken, 64 random misses in a row are as likely as 2**-64."""
PATIENCE = 5.0
"""Seconds that an allocator has."""


def any_ports(allowed: PortSet) -> Iterator[int]:
    """Yield random ports of these, without end if there are any."""
    ranges = allowed.ranges
    weights = [high - low + 1 for low, high in ranges]
    while ranges:
        # No secret: whoever wants to know which ports are open can knock.
        low, high = random.choices(ranges, weights)[0]  # noqa: S311
        yield random.randint(low, high)  # noqa: S311


class Allocation:
    """The allocator of a server. Raises GotunnelError when it cannot be made."""

    log = Logger()

    def __init__(self, reactor: Any, config: AllocatorConfig) -> None:
        self.config = config
        self._reactor = reactor
        self._name = config.plugin
        self._lines = LogLimit(rate=0.2, burst=5)
        self._allocator: IPortAllocator = made("ports", config, reactor)

    async def candidates(self, wish: Wish) -> list[int]:
        """Return what to try. Raises PortUnavailable, code port_in_use, where the allocator fails."""
        try:
            found = await answer(self._reactor, PATIENCE, self._allocator.candidates, wish)
            return [int(port) for port in islice(found, MOST_CANDIDATES)]
        except (Exception, SystemExit) as error:  # a plugin of somebody's may try to end the process
            # Clients decide how often they ask.
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
    """Any port that is allowed, at random."""

    def __init__(self, reactor: Any, options: object) -> None: ...

    def candidates(self, wish: Wish) -> Iterable[int]:
        """See IPortAllocator."""
        return any_ports(wish.allowed)


@implementer(IPortAllocator)
class StickyPort:
    """The same port for the same mapping of the same client, as long as nobody else has it: also after a restart of the
    server, and on another server with the same options. Where it is taken, the next one."""

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
