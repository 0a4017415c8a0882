"""Balancers in front of public ports, which say by the PROXY protocol whose connection they pass on. From then on he is
the visitor, for limits, rules and logs."""

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
"""Seconds for a header to come: a balancer sends it at once."""


class Fronts:
    """The networks of `proxy_from`; one per server. Whoever comes from there and brings no header is closed; what
    anybody else says is for the target. A balancer's own connection is a visitor, with the balancer's address, unless
    it ends without a word: then it was a health check, of which there is one every few seconds."""

    log = Logger()

    def __init__(self, reactor: Any, networks: Iterable[str] = ()) -> None:
        self._reactor = reactor
        self._warn = Warnings(self.log, reactor).warn
        self.use(networks)

    def use(self, networks: Iterable[str]) -> None:
        """Go by these from now on."""
        self.networks = tuple(ipaddress.ip_network(each) for each in networks)
        """Empty where nobody is in front."""

    def ask(self, local: ILocal, mapping: str, arrived: Callable[[ILocal], None]) -> None:
        """Call `arrived` when it is known who this is: now, or when his header is here."""
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
