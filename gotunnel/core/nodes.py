"""Which client leads to which node: what clients announce, and the choice for an address. Resolves nothing, and knows
nobody's rights."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["NodeTable", "node_allowed"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Key = str | _Network


class NodeTable:
    """All announcements. A node is an IP address, a network or a name."""

    def __init__(self) -> None:
        self._clients: dict[_Key, dict[str, None]] = {}  # of each node, in the order of their announcements

    def announce(self, client: str, nodes: Iterable[str]) -> None:
        """Replace what a client announces."""
        keys = {_key(node) for node in nodes}
        for key in keys:
            self._clients.setdefault(key, {})[client] = None
        for key in [key for key, clients in self._clients.items() if client in clients and key not in keys]:
            del self._clients[key][client]
            if not self._clients[key]:
                del self._clients[key]

    def route(self, host: str) -> list[str]:
        """Return the clients that lead to a host, the best first: the longest match, then the first to announce it."""
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return list(self._clients.get(_key(host), ()))
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        found = [key for key in self._clients if not isinstance(key, str) and (mapped or address) in key]
        found.sort(key=lambda network: network.prefixlen, reverse=True)
        return list(dict.fromkeys(client for network in found for client in self._clients[network]))

    def announced(self, client: str) -> list[str]:
        """Return what a client announces."""
        return [_text(key) for key, clients in self._clients.items() if client in clients]


def node_allowed(rules: Iterable[str], node: str) -> bool:
    """Whether a client with these rules may announce a node. A rule is an address or a network, which covers all within
    it, or a name, with `*` for any characters."""
    network = _network(node)
    for rule in rules:
        limit = _network(rule)
        if network is None or limit is None:
            if network is None and limit is None and fnmatchcase(node.lower(), rule.lower()):
                return True
        elif network.version == limit.version and network.subnet_of(limit):  # type: ignore[arg-type]
            return True
    return False


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _key(node: str) -> _Key:
    return _network(node) or node.lower().removesuffix(".")


def _text(key: _Key) -> str:
    if isinstance(key, str):
        return key
    return str(key.network_address) if key.prefixlen == key.max_prefixlen else str(key)
