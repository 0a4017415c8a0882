"""The nodes that clients announce, and the choice of a client for an address. Resolves no names, checks no rights."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase

from gotunnel.dialrules import unmapped

__all__ = ["NodeTable", "node_allowed"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Key = str | _Network


class NodeTable:
    """The announcements of all clients. A node is an IP address, a network or a name."""

    def __init__(self) -> None:
        self._clients: dict[_Key, dict[str, None]] = {}  # per node, its clients in the order of announcement

    def announce(self, client: str, nodes: Iterable[str]) -> None:
        """Replace the announcements of a client."""
        keys = {_key(node) for node in nodes}
        for key in keys:
            self._clients.setdefault(key, {})[client] = None
        for key in [key for key, clients in self._clients.items() if client in clients and key not in keys]:
            del self._clients[key][client]
            if not self._clients[key]:
                del self._clients[key]

    def route(self, host: str) -> list[str]:
        """Return the clients that lead to a host, best first: by longest match, then by order of announcement."""
        wanted = _key(host.partition("%")[0])
        if isinstance(wanted, str):
            return list(self._clients.get(wanted, ()))
        address = wanted.network_address
        found = [key for key in self._clients if not isinstance(key, str) and address in key]
        found.sort(key=lambda network: network.prefixlen, reverse=True)
        return list(dict.fromkeys(client for network in found for client in self._clients[network]))

    def announced(self, client: str) -> list[str]:
        """Return the nodes that a client announces."""
        return [_text(key) for key, clients in self._clients.items() if client in clients]


def node_allowed(rules: Iterable[str], node: str) -> bool:
    """Return whether the rules cover a node.

    A rule is an address, a network, which covers all within it, or a name in which `*` stands for any characters.
    """
    key = _key(node.partition("%")[0])
    for rule in rules:
        limit = _key(rule)
        if isinstance(key, str) or isinstance(limit, str):
            if isinstance(key, str) and isinstance(limit, str) and fnmatchcase(key, limit):
                return True
        elif key.version == limit.version and key.subnet_of(limit):  # type: ignore[arg-type]
            return True
    return False


def _key(node: str) -> _Key:
    """Return the canonical form of a node for comparison: lower-case names, IPv4-mapped addresses as IPv4."""
    try:
        network = ipaddress.ip_network(node)
    except ValueError:
        return node.lower().removesuffix(".")
    return unmapped(network)


def _text(key: _Key) -> str:
    if isinstance(key, str):
        return key
    return str(key.network_address) if key.prefixlen == key.max_prefixlen else str(key)
