"""Load balancers in front of public ports, which send the visitor's address in a PROXY protocol header.

From then on that address counts as the visitor's in limits, rules and logs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from gotunnel.address import plain_address
from gotunnel.interfaces import ILocal
from gotunnel.logs import Logger
from gotunnel.net.firstbytes import FirstBytes
from gotunnel.net.warnings import Warnings
from gotunnel.wire.proxyread import ProxyHeader

__all__ = ["PATIENCE", "Fronts"]

PATIENCE = 5.0
"""Seconds to wait for a header: a balancer sends it at once."""


class Fronts:
    """The balancers of one server: the networks in `proxy_from`.

    A connection from there without a header is closed. From other addresses, headers are left for the target. A
    balancer's own connection counts as a visitor with the balancer's address. If it closes without sending anything,
    it was a health check, as balancers make every few seconds, and is not logged as a visitor.
    """

    log = Logger()

    def __init__(self, reactor: Any, networks: Iterable[str] = ()) -> None:
        self._reactor = reactor
        self._warn = Warnings(self.log, reactor).warn
        self.use(networks)

    def use(self, networks: Iterable[str]) -> None:
        """Use these networks from now on."""
        self.networks = tuple(ipaddress.ip_network(each) for each in networks)
        """Empty if there are no balancers."""

    def ask(self, local: ILocal, mapping: str, arrived: Callable[[ILocal], None]) -> None:
        """Call `arrived` when the visitor's address is known: at once, or when the header has arrived."""
        address = plain_address(local.host)
        if address is None or not any(address in network for network in self.networks):
            arrived(local)
            return

        def read(header: ProxyHeader | None, reason: str) -> None:
            if header is None and not reason:
                self.log.debug(
                    "a balancer at {visitor} checked whether {mapping} is open, and closed without sending anything",
                    visitor=local.address, mapping=mapping,
                )  # fmt: skip
                local.abort()
                return
            if header is None:
                self._warn(
                    mapping, "visitor {visitor} of {mapping} was closed: proxy_from names its address, but {reason}",
                    visitor=local.address, mapping=mapping, reason=reason,
                )  # fmt: skip
                local.abort()
                return
            if header.source is not None and header.destination is not None:
                local.stand_for(str(header.source), header.source.host, str(header.destination))
            arrived(local)

        FirstBytes(self._reactor, local, PATIENCE, read)
