"""Which kind of port a mapping request asks for, and whether a port that is there has the same terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.errors import PortUnavailable
from gotunnel.server.memberport import MemberPort
from gotunnel.server.public import HiddenPort, PublicPort
from gotunnel.server.udpport import UdpPort
from gotunnel.wire.messages import MappingRequest

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["port_for", "terms"]


def port_for(hub: Hub, peer: Peer, request: MappingRequest, bind: str, plain: bool) -> PublicPort:
    """Return a port object for the request, not open yet. Raises PortUnavailable."""
    name, hidden = request.name, request.public is False
    if request.protocol == "udp":
        return UdpPort(hub, peer, request, bind, plain)
    if request.group is not None:
        if hidden:
            raise PortUnavailable("bad_request", "a group is for the visitors of a port, and this mapping has none")
        return MemberPort(name, request.group, bind, request.remote_port, plain, hub, peer)
    port = (HiddenPort if hidden else PublicPort)(
        name, bind, request.remote_port, plain, peer.relay, hub.ports, (peer.name, name), peer.arrived
    )
    port.fronts = hub.fronts
    port.choose, port.vet = hub.chooser(peer.name, name, bind), hub.vetter(peer.name, name, bind)
    return port


def terms(mapping: PublicPort) -> tuple[object, ...]:
    """Return the terms that must be equal for an existing mapping to satisfy a request."""
    return type(mapping), mapping.group_name, mapping.bind, mapping.wanted, mapping.plain
