"""The nodes that a client leads to: what it announces, and what an OPEN of the server may reach. The client's own
configuration decides both."""

from __future__ import annotations

from collections.abc import Iterable

from gotunnel.address import HostPort, parse_host_port
from gotunnel.config.model import NodeConfig
from gotunnel.core.nodes import node_allowed
from gotunnel.core.ports import PortSet
from gotunnel.errors import DialFailed, RemoteProtocolError, Sentence, printable

__all__ = ["OwnNodes"]


class OwnNodes:
    """All nodes of one client."""

    def __init__(self, nodes: Iterable[NodeConfig]) -> None:
        self.use(nodes)

    def use(self, nodes: Iterable[NodeConfig]) -> None:
        """Use these nodes from now on."""
        self._nodes = [(node.match, PortSet.parse(node.allow_ports), node.dial) for node in nodes]

    @property
    def announced(self) -> tuple[str, ...]:
        """The names to announce to the server."""
        return tuple(dict.fromkeys(name for match, _, _ in self._nodes for name in match))

    def target(self, dial: str) -> HostPort:
        """Return the address to dial for the one that the server requests. Raises RemoteProtocolError for an invalid
        address, and DialFailed (unknown_mapping, not_allowed)."""
        try:
            asked = parse_host_port(dial)
        except ValueError:
            raise RemoteProtocolError("it names no address") from None
        found = [(ports, host) for match, ports, host in self._nodes if node_allowed(match, asked.host)]
        if not found:
            raise DialFailed("unknown_mapping", Sentence(
                "{dial} is none of this client's nodes", dial=printable(dial)
            ))
        for ports, host in found:
            if asked.port in ports:
                return HostPort(host or asked.host, asked.port)
        raise DialFailed("not_allowed", Sentence(
            "{asked}: its port is not in allow_ports of this client's nodes", asked=asked
        ))
