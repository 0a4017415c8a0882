"""Visitors that the server passes to a client without a public port: from another client's forward, and from egress.

They wait, are served and are counted like all visitors of that client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal
from gotunnel.net.pair import pair
from gotunnel.net.reach import NOT_ALLOWED
from gotunnel.net.visitor import Visitor
from gotunnel.wire.legbodies import OpenBody

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer
    from gotunnel.server.public import PublicPort

__all__ = [
    "Heard", "NodeVisitor", "cross_to_mapping", "cross_to_node", "node_peer", "shared_mapping", "sharing_peer",
    "unknown_node",
]  # fmt: skip

UNKNOWN = "unknown_mapping"
"""The code for a mapping that does not exist or is not shared with this client. One code, so that a client cannot find
out which mappings exist."""


class Heard(Protocol):
    """Receives a visitor's progress."""

    def established(self) -> None:
        """The target has answered."""
        ...

    def ended(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """The visitor has finished; `end` is None if it never had a leg."""
        ...


@dataclass(slots=True, eq=False)
class _Led(Visitor):
    heard: Heard

    def answered(self) -> None:
        """See Visitor."""
        self.heard.established()

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        self.heard.ended(outcome, end)


@dataclass(slots=True, eq=False)
class NodeVisitor(_Led):
    """A visitor that asked for an address announced by a client. That client's configuration has the final say."""

    target: HostPort
    owner: Peer

    @property
    def shut_out(self) -> Outcome | None:
        """See Visitor."""
        return None if self.owner.announced.admits(self.target.host) else Outcome.DENIED

    def allowed(self) -> bool:
        """See Visitor: whether the client still announces the address, and may."""
        return self.owner.announced.leads_to(self.target.host)

    def body(self) -> OpenBody:
        """See Visitor."""
        return OpenBody(self.conn, self.local.address, dial=str(self.target))


@dataclass(slots=True, eq=False)
class _MappingVisitor(_Led):
    port: PublicPort
    owner: Peer
    asker: str

    @property
    def shut_out(self) -> Outcome | None:
        """See Visitor."""
        return self.port.turns_away

    def allowed(self) -> bool:
        """See Visitor: whether the mapping's owner may still publish it, and shares it."""
        return self.port.permitted(self.owner.rights) and self.port.admits(self.asker)


class _Answer:
    """Fires `done` with the near end of a pair when the target of the far end has answered, or fails it."""

    def __init__(self, near: ILocal) -> None:
        self._near = near
        self.done: Deferred[ILocal] = Deferred(lambda _: near.abort())

    def established(self) -> None:
        """See Heard."""
        if not self.done.called:
            self.done.callback(self._near)

    def ended(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Heard."""
        if not self.done.called:
            code = end.code if end is not None and end.code else outcome.value
            self.done.errback(DialFailed(code, Sentence(
                "the other client's target was not reached: {code}", code=code
            )))


def shared_mapping(hub: Hub, asker: str, client: str, mapping: str) -> Peer:
    """Return the peer whose mapping `asker` may reach. Raises DialFailed (unknown_mapping or mapping_down)."""
    peer = hub.peers.get(client)
    found = None if peer is None else peer.mappings.get(mapping)
    if peer is None or found is None or not found.admits(asker):
        raise DialFailed(UNKNOWN, Sentence(
            "client {client} has no mapping {mapping}, or does not share it (its `clients`)",
            client=client, mapping=mapping,
        ))
    if found.off:
        raise DialFailed("mapping_down", Sentence(
            "mapping {mapping} of client {client} is switched off", mapping=mapping, client=client
        ))
    if found.suspended is not None:
        raise DialFailed("mapping_down", Sentence(
            "the target of mapping {mapping} of client {client} is down", mapping=mapping, client=client
        ))
    return peer


def sharing_peer(hub: Hub, asker: str, mapping: str, allowed: Callable[[str], bool]) -> Peer:
    """Return a peer that shares a mapping of that name with `asker`, among those that `allowed` accepts.

    Peers that can serve now are preferred, then the one with the fewest visitors. Raises DialFailed like
    `shared_mapping`.
    """
    peers = [
        peer
        for peer in hub.peers.values()
        if (found := peer.mappings.get(mapping)) is not None and found.admits(asker) and allowed(peer.name)
    ]
    if not peers:
        raise DialFailed(UNKNOWN, Sentence(
            "no client shares a mapping {mapping} with this one (its `clients`)", mapping=mapping
        ))
    up = [peer for peer in peers if peer.mappings[mapping].shut is None]
    if not up:
        raise DialFailed("mapping_down", Sentence(
            "mapping {mapping} is down or switched off at each client that shares it", mapping=mapping
        ))
    return min(up, key=lambda peer: (peer.session is None or peer.session.draining, peer.visitors))


def node_peer(hub: Hub, target: HostPort) -> Peer | None:
    """Return the peer that leads to a node, preferably one that can serve now; None if no client announces it.

    One that is away or draining is the second choice, because it may soon have a successor.
    """
    peers = [hub.peers[client] for client in hub.nodes.route(target.host) if client in hub.peers]
    ready = (peer for peer in peers if peer.session is not None and not peer.session.draining)
    return next(ready, peers[0] if peers else None)


def unknown_node(target: HostPort) -> DialFailed:
    """Return the refusal of a node that no client announces, and that is no address that the asker may reach."""
    return DialFailed(NOT_ALLOWED, Sentence(
        "no client announces {target} (client.nodes), and allow_dial of this client does not name it", target=target
    ))


def cross_to_mapping(hub: Hub, asker: Peer, client: str, opening: OpenBody, origin: str) -> Deferred[ILocal]:
    """Open the mapping of `client` named in `opening`, for `asker`. Raises DialFailed like `shared_mapping`.

    The Deferred fires with this side's end of the stream when the target has answered, or fails with DialFailed.
    Cancelling it gives up.

    `origin` is the visitor's address as reported to `peer`. It must be an address that we have seen ourselves:
    `opening` comes from the asker, and the target may base decisions on it.
    """
    name = opening.mapping
    assert name is not None
    # Checked again: the access policy may have been asked meanwhile, and the mapping or its client may be gone since.
    peer = shared_mapping(hub, asker.name, client, name)
    near, far = pair(hub.relay, origin, "")
    port, answer = peer.mappings[name], _Answer(near)
    now = hub.clock.seconds()
    peer.let_in(_MappingVisitor(opening.conn, name, port.plain, far, now, answer, port, peer, asker.name))
    return answer.done


def cross_to_node(hub: Hub, target: HostPort, opening: OpenBody, origin: str) -> Deferred[ILocal]:
    """Open a stream to a node that a client announces, otherwise like `cross_to_mapping`.

    Raises DialFailed (not_allowed) if no client announces it.
    """
    peer = node_peer(hub, target)
    if peer is None:
        raise unknown_node(target)
    near, far = pair(hub.relay, origin, "")
    answer = _Answer(near)
    peer.let_in(NodeVisitor(opening.conn, Sentence(
        "node {target}", target=target
    ), False, far, hub.clock.seconds(), answer, target, peer))
    return answer.done
