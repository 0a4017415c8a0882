"""The public UDP socket of one mapping. Each source address is a flow, and counts as a visitor.

All flows share the socket, so it stays open until the last flow has ended, even if no new flows are admitted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from gotunnel.address import HostPort
from gotunnel.core.dropped import Drop, Drops, drop_lines, why
from gotunnel.core.flowroom import FlowRoom
from gotunnel.logs import Logger
from gotunnel.net.flow import unfit
from gotunnel.net.udp import BoundSocket, Here, plain_host

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["Flows"]

class Flows:
    """The socket and flows of one mapping.

    A `PublicPort` uses it as its relay: `listen` opens the socket, or admits new flows again.
    """

    log = Logger()

    def __init__(self, hub: Hub, client: str, mapping: str, idle: float) -> None:
        self.idle = idle
        """The idle time, in seconds, of flows that begin from now on."""
        self.dropped = Drops()
        self._hub = hub
        self._client = client
        self._mapping = mapping
        self._socket: BoundSocket | None = None
        self._accepting = False
        self._accepted: Callable[[Any], None] = lambda flow: None
        self._room = FlowRoom()
        self._flows: dict[tuple[Any, Here], _Source] = {}
        self._lines = drop_lines()

    def __len__(self) -> int:
        return len(self._flows)

    # The interface of a relay, and of the port it returns.

    def listen(self, host: str, port: int, on_visitor: Callable[[Any], None], backlog: int = 0) -> Flows:
        """See IRelay. Raises PortUnavailable."""
        if self._socket is None:
            self._socket = BoundSocket(self._hub.clock, host, port, self._arrived, self._lost)
        self._accepting, self._accepted = True, on_visitor
        return self

    def stopListening(self) -> Deferred[None]:
        """Admit no new flows. The socket closes with the last flow."""
        self._accepting = False
        self._let_go()
        return succeed(None)

    def end(self, code: str) -> None:
        """End all flows with this code, and close the socket."""
        self._accepting = False
        for source in tuple(self._flows.values()):
            source.flow.end(code)
        self._let_go()

    # Used by the flows.

    def send(self, datagram: bytes, source: Any, here: Here) -> None:
        """Send a datagram to `source`."""
        try:
            assert self._socket is not None
            self._socket.send(datagram, source, here)
        except OSError:
            self.drop(Drop.UNSENT)

    def left(self, key: tuple[Any, Here], host: str) -> None:
        """Forget a flow that has ended."""
        if self._flows.pop(key, None) is not None:
            self._room.left(host)
            self._let_go()

    def drop(self, reason: Drop, count: int = 1) -> None:
        """Count dropped datagrams, and log them at a limited rate."""
        self.dropped[reason] += count
        self._hub.usage.dropped[reason] += count
        more = self._lines.more(reason, self._hub.clock.seconds())
        if more is not None:
            self.log.warn(
                "datagrams of mapping {mapping} of client {client} are dropped: {reason}{more}",
                mapping=self._mapping, client=self._client, reason=why(reason), more=more,
            )  # fmt: skip

    # Internals.

    def _arrived(self, datagram: bytes, source: Any, here: Here) -> None:
        known = self._flows.get((source, here))
        if known is not None:
            known.flow.arrived(datagram)
        elif not self._accepting:
            self.drop(Drop.SHUT)
        elif (why_not := unfit(datagram)) is not None:
            self.drop(why_not)
        else:
            self._begin(datagram, source, here)

    def _begin(self, datagram: bytes, source: Any, here: Here) -> None:
        hub, host = self._hub, plain_host(source[0])
        limits = hub.config.limits
        full = self._room.refuse(
            host, hub.clock.seconds(), most=limits.flows, of_source=limits.flows_per_address, a_second=limits.new_flows
        )
        if full is not None:
            self.drop(full)
            return
        begun = _Source(self, source, here, host)
        address = str(HostPort(host, source[1]))
        assert self._socket is not None
        came_to = self._socket.came_to(here)
        relay: Any = hub.relay
        begun.flow = relay.flow(begun, self.idle, address, host, came_to, self.drop, False)
        self._flows[source, here] = begun
        begun.flow.arrived(datagram)  # queued there, and sent directly after the OPEN
        self._accepted(begun.flow)

    def _lost(self, count: int) -> None:
        self.drop(Drop.SYSTEM, count)

    def _let_go(self) -> None:
        if not self._accepting and not self._flows and self._socket is not None:
            self._socket.close()
            self._socket = None


class _Source:
    """The outlet of one flow: sends through the shared socket."""

    flow: Any

    def __init__(self, flows: Flows, source: Any, here: Here, host: str) -> None:
        self._flows = flows
        self._source = source
        self._here = here
        self._host = host

    def send(self, datagram: bytes) -> None:
        """See Outlet."""
        self._flows.send(datagram, self._source, self._here)

    def close(self) -> None:
        """See Outlet."""
        self._flows.left((self._source, self._here), self._host)
