"""The operator's view of a server's mappings, including refused and switched-off ones, and of its egress socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gotunnel.core.refused import Refusal
from gotunnel.core.view import SWITCHED_OFF, SWITCHED_OFF_THERE, MappingState, MappingView
from gotunnel.errors import Sentence
from gotunnel.server.peer import Peer
from gotunnel.server.public import PublicPort
from gotunnel.server.udpport import UdpPort

if TYPE_CHECKING:
    from gotunnel.server.egress import Egress
    from gotunnel.server.hub import Hub

__all__ = ["mappings"]


def mappings(hub: Hub, here: Counter[tuple[str, str]], egress: Egress | None) -> Iterator[MappingView]:
    """Yield all mappings. `here` counts the current visitors by client and mapping."""
    for peer in hub.holders:
        for mapping in tuple(peer.mappings.values()):
            yield _held(hub, peer, mapping, here[peer.name, mapping.name])
        for refusal in peer.published.refused:
            if refusal.name not in peer.mappings:
                yield _refused(hub, peer, refusal, here[peer.name, refusal.name])
    asked_for = {(peer.name, name) for peer in hub.holders for name in peer.published.asked_for}
    for client, name in sorted(hub.switched_off - asked_for):
        reason = Sentence("{switched_off}; its client does not request it now", switched_off=SWITCHED_OFF)
        yield MappingView(client, name, "mapping", "", None, MappingState.OFF, reason, 0, 0, 0, 0)
    if egress is not None:
        yield _egress(hub, egress)


def _held(hub: Hub, peer: Peer, mapping: PublicPort, here: int) -> MappingView:
    state, reason = _standing(peer, mapping)
    dropped = mapping.flows.dropped.total() if isinstance(mapping, UdpPort) else None
    if dropped and not reason:
        reason = Sentence("{count} datagrams dropped", count=dropped)
    return MappingView(
        peer.name, mapping.name, "mapping", mapping.where, None, state, reason, here, mapping.carried.ended,
        mapping.carried.up, mapping.carried.down, protocol="tcp" if dropped is None else "udp", dropped=dropped,
        encrypted=hub.tls is not None and peer.name in hub.peers and not mapping.plain,
    )  # fmt: skip


def _refused(hub: Hub, peer: Peer, refusal: Refusal, here: int) -> MappingView:
    state, reason = MappingState.OFF, SWITCHED_OFF
    age = None
    if (peer.name, refusal.name) not in hub.switched_off:
        state, reason = MappingState.REFUSED, Sentence("{code}: {why}", code=refusal.code, why=refusal.reason)
        age = float(hub.clock.seconds()) - refusal.since
    return MappingView(
        peer.name, refusal.name, "mapping", refusal.address, None, state, reason, here, 0, 0, 0, age=age
    )


def _egress(hub: Hub, egress: Egress) -> MappingView:
    # Its visitors are counted under the clients that lead to the nodes.
    address, failure = egress.address, egress.failure
    state = MappingState.OPEN if failure is None else MappingState.FAILED
    return MappingView(
        "", address, "egress", address, None, state, failure or "", None, None, None, None,
        encrypted=hub.tls is not None,
    )  # fmt: skip


def _standing(peer: Peer, mapping: PublicPort) -> tuple[MappingState, str]:
    if mapping.off:
        return MappingState.OFF, SWITCHED_OFF
    if mapping.stuck is not None:
        return MappingState.FAILED, mapping.stuck
    if mapping.suspended == SWITCHED_OFF:
        return MappingState.OFF, SWITCHED_OFF_THERE
    if mapping.suspended is not None:
        return MappingState.DOWN, mapping.suspended
    if peer.session is None:
        return MappingState.AWAY, "its client is not connected; visitors wait for it"
    return MappingState.OPEN, ""
