"""What all parts of a server share: what it goes by, who holds which port, and what is held for each client name. It
listens on nothing itself. The visitors are in `ledger`; who may be here, and what he may do, in `standing`; who is, in
`present`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from gotunnel.config.model import ServerConfig
from gotunnel.core.descriptors import Shares
from gotunnel.core.nodes import NodeTable
from gotunnel.core.ports import PortTable, Wish
from gotunnel.core.rights import Rights
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.lookups import Lookups
from gotunnel.net.tls import ServerTls
from gotunnel.net.udp import can_carry
from gotunnel.server.allocation import Allocation
from gotunnel.server.credentials import Credentials
from gotunnel.server.forwardnews import ForwardNews
from gotunnel.server.fronts import Fronts
from gotunnel.server.groups import Groups
from gotunnel.server.measuring import Measuring
from gotunnel.server.peer import Peer
from gotunnel.server.present import Present
from gotunnel.wire.greeting import FORWARD, GROUPS, MEASURE, NODES, PLAIN_LEGS, UDP

if TYPE_CHECKING:
    from gotunnel.server.access import Access
    from gotunnel.server.v1.peers import V1Peers

__all__ = ["Hub"]

UNLIMITED = 1 << 30
"""Descriptors of a process whose limit nobody has told."""


class Hub(Present):
    """The server's shared state. Made once by the service and dies with it."""

    log = Logger()

    def __init__(
        self,
        config: ServerConfig,
        clock: Any,
        relay: IRelay,
        tls: ServerTls | None,
        port: int,
        wall_clock: Callable[[], float] = time.time,
        shares: Shares | None = None,
        other_ports: Iterable[int] = (),
    ) -> None:
        admin = config.admin.addr if config.admin.enabled else None
        reserved = frozenset({port, *other_ports} if admin is None else {port, admin.port, *other_ports})
        super().__init__(clock, wall_clock, Credentials(config, reserved), tls, config.limits.mappings)
        self.reserved = reserved
        """The server's own ports, which nobody may publish, on none of its addresses."""
        self.config = config
        self.relay = relay
        self.plain_legs = tls is not None and config.allow_plain_legs
        self.caps = (
            FORWARD, NODES, GROUPS, MEASURE, *((PLAIN_LEGS,) if self.plain_legs else ()),
            *((UDP,) if can_carry(relay, clock) else ()),
        )  # fmt: skip
        self.instance = secrets.token_bytes(16)
        """Random per process: clients learn from it which of their addresses lead here."""
        self._shares = shares or Shares(UNLIMITED)
        self._set_limits()
        self.sparing: Callable[[], bool] = bool
        """Whether descriptors are scarce; the service knows."""
        self.ports = PortTable()
        self.udp_ports = PortTable()
        self.access: Access | None = None
        """Has the last word on ports, dials and visitors; None: rights alone decide."""
        self.allocation: Allocation | None = None
        """Says which ports to try where a mapping leaves that to the server; None: any."""
        self.fronts = Fronts(clock, config.proxy_from)
        self.groups = Groups(self)
        self.switched_off: set[tuple[str, str]] = set()
        """Mappings that an operator wants closed, by client and name, whether they are here or not; see `switching`."""
        self.forward_news = ForwardNews(self)
        self.nodes = NodeTable()
        self.lookups = Lookups(clock)
        self.measuring = Measuring(clock, relay)
        self.v1: V1Peers | None = None
        """Clients of version 1, where they are let in; set by who makes the hub."""

    def use_config(self, config: ServerConfig, credentials: Credentials) -> None:
        """Go by this from now on; `identities_changed` is to follow."""
        self.config, self.credentials = config, credentials
        self.fronts.use(config.proxy_from)
        self._set_limits()
        for peer in self.holders:
            peer.lobby.use(config.leg_wait)
        for session in self._present:
            session.keep_ready(config.idle_legs)
            session.feed()

    def _set_limits(self) -> None:
        limits = self.config.limits
        self.most_visitors = limits.streams or self._shares.streams
        """Visitors of all clients together."""
        self.most_strangers = min(limits.unauthenticated, self._shares.strangers)

    def chooser(
        self, client: str, mapping: str, bind: str, protocol: str = "tcp"
    ) -> Callable[[Rights], Awaitable[list[int]]] | None:
        """Return what says which ports a mapping is to try that has none of its own wish; None: any."""
        allocation = self.allocation
        if allocation is None:
            return None
        return lambda rights: allocation.candidates(Wish(client, mapping, bind, rights.allow_ports, protocol))

    def vetter(
        self, client: str, mapping: str, bind: str, protocol: str = "tcp"
    ) -> Callable[[int], Awaitable[None]] | None:
        """Return what has the last word on a mapping's port, and raises PortUnavailable; None: nobody."""
        access = self.access
        return None if access is None else lambda port: access.check_port(client, mapping, bind, port, protocol)

    def legs_expected_from(self, host: str) -> int:
        """How many legs were asked for from sessions at this address: strangers from there are likely to be legs."""
        expected = self.origins.legs_expected_from(host)
        return expected if self.v1 is None else expected + self.v1.legs_expected_from(host)

    def peer(self, name: str) -> Peer:
        """Return what is held for a client name."""
        if name not in self.peers:
            self.peers[name] = Peer(self, name)
        return self.peers[name]

    def forget(self, peer: Peer) -> None:
        """Nothing is held for this name any more."""
        if self.peers.get(peer.name) is peer:
            del self.peers[peer.name]
            self._see_off(peer.name)
            self.nodes.announce(peer.name, ())
            current = self.sessions.current(peer.name)
            if current is not None:
                self.sessions.ended(current.sid)

    @property
    def holders(self) -> tuple[Peer, ...]:
        """All who hold ports or visitors, those of version 1 too."""
        return (*self.peers.values(), *(() if self.v1 is None else self.v1.peers))
