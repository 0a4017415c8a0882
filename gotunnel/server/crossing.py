"""A visitor of one client's forward who is served by a mapping of another client: he comes in on a forward leg and goes
out on a reverse leg, through a pair of sockets in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILocal
from gotunnel.net.pair import pair
from gotunnel.net.visitor import Visitor
from gotunnel.wire.legbodies import OpenBody

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer
    from gotunnel.server.public import PublicPort

__all__ = ["cross", "shared_mapping"]

UNKNOWN = "unknown_mapping"
"""The code for a mapping that is not there, or not for this client: who may not reach it does not learn whether it is
there."""


@dataclass(slots=True, eq=False)
class _Crossing(Visitor):
    """`answer` fires with `near` when the other client's target has answered."""

    near: ILocal
    port: PublicPort
    owner: Peer
    asker: str
    answer: Deferred[ILocal]

    def allowed(self) -> bool:
        """See Visitor: while the owner of the mapping may have it, and shares it."""
        return self.port.permitted(self.owner.rights) and self.port.admits(self.asker)

    def answered(self) -> None:
        """See Visitor."""
        if not self.answer.called:
            self.answer.callback(self.near)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        if not self.answer.called:
            code = end.code if end is not None and end.code else outcome.value
            self.answer.errback(DialFailed(code, f"the other client's target was not reached: {code}"))


def shared_mapping(hub: Hub, asker: str, client: str, mapping: str) -> Peer:
    """Return the peer whose mapping `asker` may reach. Raises DialFailed: unknown_mapping, or mapping_down."""
    peer = hub.peers.get(client)
    found = None if peer is None else peer.mappings.get(mapping)
    if peer is None or found is None or not found.admits(asker):
        raise DialFailed(UNKNOWN, f"client {client} has no mapping {mapping}, or does not share it (its `clients`)")
    if found.suspended is not None:
        raise DialFailed("mapping_down", f"the target of mapping {mapping} of client {client} is down")
    return peer


def cross(hub: Hub, asker: Peer, peer: Peer, opening: OpenBody) -> Deferred[ILocal]:
    """Open the mapping of `peer` that `opening` names, for `asker`. Fires with this side's end when its target has
    answered, or fails with DialFailed. Cancelling gives up. Raises DialFailed."""
    name = opening.mapping
    assert name is not None
    near, far = pair(hub.relay, opening.src, "")
    port = peer.mappings[name]
    answer: Deferred[ILocal] = Deferred(lambda _: near.abort())
    crossing = _Crossing(
        opening.conn, name, port.plain, far, hub.clock.seconds(), near, port, peer, asker.name, answer
    )  # fmt: skip
    peer.let_in(crossing)
    return answer
