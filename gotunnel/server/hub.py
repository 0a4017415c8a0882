"""The state shared by all parts of a server: configuration, port holders, and what is kept for each client name.

It listens on nothing itself. Its base classes count visitors (`ledger`), decide who may connect with which rights
(`standing`), and track current sessions (`present`).
"""

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
from gotunnel.server.entering import Entering
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
"""The descriptor limit assumed if none was given."""


class Hub(Present):
    """The server's shared state. The service makes one, and it lives as long as the service."""

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
        """The server's own ports, which no client may publish on any address."""
        self.config = config
        self.relay = relay
        self.plain_legs = tls is not None and config.allow_plain_legs
        self.caps = (
            FORWARD, NODES, GROUPS, MEASURE, *((PLAIN_LEGS,) if self.plain_legs else ()),
            *((UDP,) if can_carry(relay, clock) else ()),
        )  # fmt: skip
        self.instance = secrets.token_bytes(16)
        """Random per process: clients recognise by it which of their addresses lead to this server."""
        self._shares = shares or Shares(UNLIMITED)
        self._set_limits()
        self.sparing: Callable[[], bool] = bool
        """Returns whether descriptors are scarce; set by the service."""
        self.ports = PortTable()
        self.udp_ports = PortTable()
        self.access: Access | None = None
        """The access policy, with the final say on ports, dials and visitors. None: rights alone decide."""
        self.stopping = False
        """Whether this server drains: it opens no port any more, also for clients that connect until it has closed its
        own."""
        self.entering = Entering()
        """Visitors that wait for the answer of this policy, or of one that it has replaced."""
        self.allocation: Allocation | None = None
        """Chooses the ports to try for a mapping without a fixed port. None: any allowed port."""
        self.fronts = Fronts(clock, config.proxy_from)
        self.groups = Groups(self)
        self.switched_off: set[tuple[str, str]] = set()
        """Mappings that an operator has switched off, by client and name; they need not exist. See `switching`."""
        self.forward_news = ForwardNews(self)
        self.nodes = NodeTable()
        self.lookups = Lookups(clock)
        self.measuring = Measuring(clock, relay)
        self.v1: V1Peers | None = None
        """Clients of version 1, or None if they are not accepted; set by the service."""

    def use_config(self, config: ServerConfig, credentials: Credentials) -> None:
        """Apply a new configuration. The caller must call `identities_changed` afterwards."""
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
        """The limit on the visitors of all clients together."""
        self.most_strangers = min(limits.unauthenticated, self._shares.strangers)

    def switched(self, client: str, mapping: str, off: bool) -> bool:
        """Record that an operator has switched a mapping off or on, and inform the clients whose forwards may reach it.

        Returns whether that is new. Called in the mapping's turn, so that the last command holds.
        """
        key = (client, mapping)
        new = off != (key in self.switched_off)
        if off:
            self.switched_off.add(key)
            self.forward_news.off(key)
        else:
            self.switched_off.discard(key)
            self.forward_news.on(key)
        return new

    def chooser(
        self, client: str, mapping: str, bind: str, protocol: str = "tcp"
    ) -> Callable[[Rights], Awaitable[list[int]]] | None:
        """Return a function that chooses the ports to try for a mapping without a fixed port. None: any port."""
        allocation = self.allocation
        if allocation is None:
            return None
        return lambda rights: allocation.candidates(Wish(client, mapping, bind, rights.allow_ports, protocol))

    def vetter(
        self, client: str, mapping: str, bind: str, protocol: str = "tcp"
    ) -> Callable[[int], Awaitable[None]] | None:
        """Return a check of a mapping's port that may raise PortUnavailable. None: there is no access policy."""
        access = self.access
        return None if access is None else lambda port: access.check_port(client, mapping, bind, port, protocol)

    def legs_expected_from(self, host: str) -> int:
        """The number of legs requested from sessions at this address: unauthenticated peers there are likely legs."""
        expected = self.origins.legs_expected_from(host)
        return expected if self.v1 is None else expected + self.v1.legs_expected_from(host)

    def peer(self, name: str) -> Peer:
        """Return the peer of a client name, making it if needed."""
        if name not in self.peers:
            self.peers[name] = Peer(self, name)
        return self.peers[name]

    def forget(self, peer: Peer) -> None:
        """Forget a peer for which nothing is held any more."""
        if self.peers.get(peer.name) is peer:
            del self.peers[peer.name]
            self._see_off(peer.name)
            self.nodes.announce(peer.name, ())
            current = self.sessions.current(peer.name)
            if current is not None:
                self.sessions.ended(current.sid)

    @property
    def holders(self) -> tuple[Peer, ...]:
        """All peers that hold ports or visitors, including those of version 1."""
        return (*self.peers.values(), *(() if self.v1 is None else self.v1.peers))
