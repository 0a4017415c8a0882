"""The nodes that one client announces, limited to those it may announce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.core.nodes import node_allowed
from gotunnel.errors import printable
from gotunnel.logs import Logger
from gotunnel.wire.messages import MappingResult

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["Announced"]

NOT_ALLOWED = "its allow_nodes on the server does not name it"


class Announced:
    """The announcements of one peer. They outlive its sessions."""

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer) -> None:
        self.nodes: tuple[str, ...] = ()
        """The nodes that the client announces, allowed or not."""
        self._refused: frozenset[str] = frozenset()
        self._hub = hub
        self._peer = peer

    def announce(self, nodes: tuple[str, ...]) -> tuple[MappingResult, ...]:
        """Replace the client's announcements. Returns one result per node."""
        before, self.nodes = self._hub.nodes.announced(self._peer.name), nodes
        self.refresh()
        allowed = self._hub.nodes.announced(self._peer.name)
        if allowed and allowed != before:
            self._hub.tell_of(
                self._peer.name, "nodes", "client {client} leads to the nodes {nodes}", nodes=", ".join(allowed)
            )
        results = []
        for node in nodes:
            if node not in self._refused:
                results.append(MappingResult(node, "ok"))
                continue
            results.append(MappingResult(node, "fail", None, "acl_denied", NOT_ALLOWED))
            self._hub.say_of(
                self._peer.name, "nodes", "node {node} of client {client} is refused: its allow_nodes does not name it",
                node=printable(node),
            )  # fmt: skip
        return tuple(results)

    @property
    def taken(self) -> list[str]:
        """The nodes that the server leads to."""
        return [node for node in dict.fromkeys(self.nodes) if node not in self._refused]

    @property
    def refused(self) -> dict[str, str]:
        """The other nodes that the client announces, each with the reason."""
        return {node: NOT_ALLOWED for node in self.nodes if node in self._refused}

    def leads_to(self, host: str) -> bool:
        """Return whether requests for this host may currently go to this client."""
        return self._peer.name in self._hub.nodes.route(host)

    def admits(self, host: str) -> bool:
        """Return whether a visitor for this host may begin to wait here: its client may have been forgotten since."""
        return self._hub.peers.get(self._peer.name) is self._peer and self.leads_to(host)

    def withdraw(self) -> None:
        """Remove all announcements of this client."""
        self.nodes = ()
        self.refresh()

    def refresh(self) -> None:
        """Apply the current rights to the announcements."""
        rules = self._peer.rights.allow_nodes
        taken = [node for node in self.nodes if node_allowed(rules, node)]
        self._refused = frozenset(self.nodes).difference(taken)
        self._hub.nodes.announce(self._peer.name, taken)
