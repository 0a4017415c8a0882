"""A mapping of datagrams on the server: checks of the request, its public port, and its visitors.

The flows and their socket are in `flows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gotunnel.config.datagrams import DEFAULT_IDLE, LEAST_IDLE, MOST_IDLE
from gotunnel.core.outcome import Outcome
from gotunnel.core.rights import Rights
from gotunnel.core.stream import CLOSED
from gotunnel.errors import PortUnavailable
from gotunnel.interfaces import ILocal
from gotunnel.server.flows import Flows
from gotunnel.server.public import PublicPort, PublicVisitor
from gotunnel.wire.greeting import UDP
from gotunnel.wire.messages import MappingRequest

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.peer import Peer

__all__ = ["UdpPort", "check_request", "idle_of"]


def idle_of(request: MappingRequest) -> float:
    """Return the idle time that a request asks for, in seconds, within the allowed range."""
    wished = DEFAULT_IDLE if request.idle_ms is None else request.idle_ms / 1000
    return min(max(LEAST_IDLE, wished), MOST_IDLE)


def check_request(hub: Hub, peer: Peer, request: MappingRequest) -> None:
    """Check that the request is possible for UDP. Raises PortUnavailable (bad_request) if not."""
    if UDP not in hub.caps:
        raise PortUnavailable("bad_request", "the relay of this server carries no datagrams (protocol udp)")
    if UDP not in getattr(peer.session, "caps", ()):
        raise PortUnavailable("bad_request", "this client does not say that it carries datagrams (its caps lack udp)")
    if request.group is not None:
        raise PortUnavailable("bad_request", "a group is for TCP: its members cannot share a port of datagrams")
    if request.public is False or request.clients:
        raise PortUnavailable("bad_request", "forwards of other clients are for TCP, and this mapping has protocol udp")


class UdpPort(PublicPort):
    """See PublicPort. Closing it also ends its flows.

    A datagram socket cannot be closed for new sources only, and the port must become free. If the source of an ended
    flow sends another datagram, that begins a new flow, wherever the port then leads.
    """

    def __init__(self, hub: Hub, peer: Peer, request: MappingRequest, bind: str, plain: bool) -> None:
        self.flows = Flows(hub, peer.name, request.name, idle_of(request))
        self._peer = peer
        super().__init__(
            request.name, bind, request.remote_port, plain, self.flows,  # type: ignore[arg-type]
            hub.udp_ports, (peer.name, request.name), self._let_in,
        )  # fmt: skip
        self._hub = hub
        self.choose = hub.chooser(peer.name, request.name, bind, "udp")
        self.vet = hub.vetter(peer.name, request.name, bind, "udp")

    @property
    def where(self) -> str:
        """See PublicPort."""
        return f"{self.address}/udp"

    def admits(self, client: str) -> bool:
        """See PublicPort: forwards only carry TCP."""
        return False

    def check(self, rights: Rights) -> None:
        """See PublicPort."""
        super().check(rights.of_udp)

    def check_wish(self, rights: Rights) -> None:
        """See PublicPort."""
        super().check_wish(rights.of_udp)
        if not rights.allow_udp_ports:
            raise PortUnavailable("acl_denied", "no port of UDP is allowed (allow_udp_ports)")

    async def open(self, rights: Rights) -> None:
        """See PublicPort."""
        await super().open(rights.of_udp)

    async def close(self) -> None:
        """See PublicPort."""
        self._listening = None
        self._peer.turn_away_from(self.name, Outcome.STOPPED)
        self.flows.end(CLOSED)
        await super().close()

    def _let_in(self, port: PublicPort, flow: ILocal) -> None:
        hub, peer = self._hub, self._peer
        now = hub.clock.seconds()
        peer.let_in(FlowVisitor(hub.next_conn(), self.name, self.plain, flow, now, self, peer))


@dataclass(slots=True, eq=False)
class FlowVisitor(PublicVisitor):
    """A visitor that is a flow of datagrams."""

    def answered(self) -> None:
        """See Visitor."""
        self.local.answered()  # type: ignore[attr-defined]
