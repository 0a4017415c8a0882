"""An access policy that admits visitors by their address. It does not restrict what clients do."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from typing import Any

from zope.interface import implementer

from gotunnel.address import Ip, plain_address
from gotunnel.config.judgeoptions import NetworksOptions
from gotunnel.core.logins import Dial, Entry, Publication
from gotunnel.errors import Sentence
from gotunnel.interfaces import IAccessPolicy

__all__ = ["Networks"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@implementer(IAccessPolicy)
class Networks:
    """Admits visitors by network. Visitors from another client's forward have no address and are always admitted:
    that client's rights were checked."""

    def __init__(self, reactor: Any, options: NetworksOptions) -> None:
        self._allow = [ipaddress.ip_network(each) for each in options.allow]
        self._deny = [ipaddress.ip_network(each) for each in options.deny]
        self._mappings = options.mappings

    def publish(self, publication: Publication) -> str | None:
        """See IAccessPolicy."""
        return None

    def dial(self, dial: Dial) -> str | None:
        """See IAccessPolicy."""
        return None

    def enter(self, entry: Entry) -> str | None:
        """See IAccessPolicy."""
        name = f"{entry.client}/{entry.mapping}"
        if self._mappings and not any(fnmatchcase(name, pattern) for pattern in self._mappings):
            return None
        if not entry.address:
            return None
        address = plain_address(entry.address)
        if address is None:
            return Sentence("{address} is not an address", address=entry.address)
        if _within(address, self._deny):
            return Sentence("visitors from {address} are denied (server.access.deny)", address=address)
        if self._allow and not _within(address, self._allow):
            return Sentence("visitors from {address} are not allowed (server.access.allow)", address=address)
        return None


def _within(address: Ip, networks: list[Network]) -> bool:
    return any(address in network for network in networks)
