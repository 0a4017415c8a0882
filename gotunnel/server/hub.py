"""What all parts of a server share: who is connected, who may be, and who holds which port. It listens on nothing
itself. The visitors are in `ledger`; who may be
here, and what he may do, in `standing`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.config.identitychange import Change, ClientRefused, used
from gotunnel.config.model import ServerConfig
from gotunnel.core.descriptors import Shares
from gotunnel.core.identities import Identities
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.nodes import NodeTable
from gotunnel.core.ports import PortTable, Wish
from gotunnel.core.rights import Rights
from gotunnel.core.sessions import Decision, SessionTable
from gotunnel.errors import ConfigError, Sentence, printable
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.clientca import problem_now
from gotunnel.net.lookups import Lookups
from gotunnel.net.tls import ServerTls
from gotunnel.net.udp import can_carry
from gotunnel.server.allocation import Allocation
from gotunnel.server.credentials import Credentials
from gotunnel.server.forwardnews import ForwardNews
from gotunnel.server.fronts import Fronts
from gotunnel.server.groups import Groups
from gotunnel.server.guests import Guest
from gotunnel.server.measuring import Measuring
from gotunnel.server.origins import Origins
from gotunnel.server.peer import Peer
from gotunnel.server.session import ServerSession
from gotunnel.server.standing import Standing
from gotunnel.wire.greeting import FORWARD, GROUPS, MEASURE, NODES, PLAIN_LEGS, UDP

if TYPE_CHECKING:
    from gotunnel.server.access import Access
    from gotunnel.server.v1.peers import V1Peers

__all__ = ["Hub"]

UNLIMITED = 1 << 30
"""Descriptors of a process whose limit nobody has told."""


async def _no_clients_file(change: Change) -> None:
    raise ClientRefused("this server has no clients file")


_BACK = ", back within its time of grace"


class Hub(Standing):
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
        super().__init__(clock, wall_clock, Credentials(config, reserved))
        self.reserved = reserved
        """The server's own ports, which nobody may publish, on none of its addresses."""
        self.config = config
        self.relay = relay
        self.tls = tls
        self.plain_legs = tls is not None and config.allow_plain_legs
        self.caps = (
            FORWARD, NODES, GROUPS, MEASURE, *((PLAIN_LEGS,) if self.plain_legs else ()),
            *((UDP,) if can_carry(relay, clock) else ()),
        )  # fmt: skip
        self.instance = secrets.token_bytes(16)
        """Random per process: clients learn from it which of their addresses lead here."""
        self.change_clients: Callable[[Change], Awaitable[None]] = _no_clients_file
        """Changes the clients file, and lets that take effect. Raises ConfigError or ClientRefused."""
        self._shares = shares or Shares(UNLIMITED)
        self._set_limits()
        self.sparing: Callable[[], bool] = bool
        """Whether descriptors are scarce; the service knows."""
        self.sessions: SessionTable[ServerSession] = SessionTable()
        self.ports = PortTable()
        self.udp_ports = PortTable()
        self.access: Access | None = None
        """Has the last word on ports, dials and visitors; None: rights alone decide."""
        self.allocation: Allocation | None = None
        """Says which ports to try where a mapping leaves that to the server; None: any."""
        self.fronts = Fronts(clock, config.proxy_from)
        self.groups = Groups(self)
        self.peers: dict[str, Peer] = {}
        self.switched_off: set[tuple[str, str]] = set()
        """Mappings that an operator wants closed, by client and name, whether they are here or not; see `switching`."""
        self.forward_news = ForwardNews(self)
        self.nodes = NodeTable()
        self.lookups = Lookups(clock)
        self.measuring = Measuring(clock, relay)
        self._client_lines = LogLimit(rate=1.0, burst=128)
        self._client_news = LogLimit(rate=1.0, burst=max(128, 4 * config.limits.mappings))
        self._live: set[ServerSession] = set()
        self.origins = Origins()
        self._present: set[ServerSession] = set()  # with a control connection or a leg
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

    # Identities.

    def _keys_changed(self) -> None:
        """Others beside the server's own may answer in another way than before."""
        self.guests.review(self._judged_anew)
        self.identities_changed(self.identities)

    def let_in(self, name: str, guest: Guest) -> None:
        """A client was accepted, and its session is about to begin: its older sessions go on with this, too."""
        for session in self._present:
            if session.peer.name == name and self.guests.get(name, session.proven) is not None:
                session.proven = guest.key
        self.guests.add(name, guest)
        self._plan_expiry()

    def identities_changed(self, new: Identities) -> None:
        """Let a new table of identities take effect, also for those who are here: who may not stay is cut, and what a
        client may not publish any more closes. Everything else goes on."""
        for name in sorted(new.names_with_common_token - self.identities.names_with_common_token):
            self.log.warn(
                "the token of client {client} is the shared one: whoever holds that can pose as this client, and as "
                "the server to it; give it another with gotunnel client rotate",
                client=name,
            )  # fmt: skip
        self.identities = new
        self.keyring.use(new)
        self._plan_expiry()
        for session in tuple(self._present):
            reason = self.shut_out(session.peer.name, session.proven)
            if reason is not None:
                session.expel(reason)
        for peer in tuple(self.peers.values()):
            peer.announced.refresh()
        for legs in tuple(self.streaming):  # those included whose peer has been forgotten meanwhile
            legs.reset_denied()
        for peer in tuple(self.peers.values()):
            peer.rights_changed()

    def expire(self) -> None:
        """Cut whose identity has expired, or is one no more. To be called every half second or so."""
        if self.keyring.changed():
            self._keys_changed()
        if self._next_expiry is not None and self.wall_clock() >= self._next_expiry:
            self.identities_changed(self.identities)

    def say_of(self, client: str, kind: str, words: str, **values: Any) -> None:
        """Warn of what a client did, unless it fills the log already; `words` may use {client}."""
        more = self._client_lines.more((client, kind), self.clock.seconds())
        if more is not None:
            self.log.warn(words + "{more}", client=client, more=more, **values)

    def tell_of(self, client: str, kind: str, words: str, **values: Any) -> None:
        """Tell what a client does, unless it does so more often than its mappings are a reason for; the same words."""
        more = self._client_news.more((client, kind), self.clock.seconds())
        if more is not None:
            self.log.info(words + "{more}", client=client, more=more, **values)

    def use_tls(self, tls: ServerTls) -> None:
        """Begin connections with another certificate from now on; those that are there keep theirs, but for clients for
        whom changed authorities do not vouch: they are cut."""
        before, self.tls = self.tls, tls
        if tls.authorities is None or (before is not None and before.authorities == tls.authorities):
            return
        for session in tuple(self._present):
            problem = problem_now(session.shown, tls.authorities)
            if problem is not None:
                session.expel(Sentence("its certificate {problem}", problem=problem), certificate=True)

    # Sessions.

    def begin(self, session: ServerSession, name: str, instance: bytes, number: int, decision: Decision) -> None:
        """A session is established: it takes the place of an older one, if there is one."""
        peer = session.peer
        guest = self.guests.get(name, session.proven)
        if guest is None:
            self.guests.drop(name)  # it came in by a key of the server's own
        else:
            session.came_by = guest.by.plugin
        old = self.sessions.begin(session.sid, name, instance, number, session)
        self._live.add(session)
        self.origins.add(session)
        self._present.add(session)
        self.tell_of(
            name, "connected", "client {client} connected from {address}{how}",
            address=session.address,
            how="" if old is None else _BACK if old.lost else ", in place of an older session",
        )  # fmt: skip
        if guest is None and self.identities.authenticated(name):
            self.log.warn(
                "one token serves several clients (now {client} too): whoever holds it can pose as any of them, "
                "and as the server",
                client=name,
            )
        if old is not None and not old.lost:
            old.session.replaced()
        peer.begin(session)
        self.forward_news.began(session)
        if self.identities.supersedes(name, session.proven):
            Deferred.fromCoroutine(self._end_older_keys(name, session.proven)).addErrback(
                lambda failure: self.log.failure("ending older keys of client {client}", failure, client=name)
            )

    async def _end_older_keys(self, name: str, key: bytes) -> None:
        """The newest of a client's keys is in use. Visitors on the legs of its older sessions go on: it is the same
        client, with another key."""
        for session in self._present:
            if session.peer.name == name and session.over:
                session.proven = key
        try:
            await self.change_clients(used(name, key))
        except (ClientRefused, ConfigError) as failed:
            self.log.warn(
                "the older key of client {client} stays valid: {problem}", client=name, problem=printable(failed, 600)
            )

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

    def session_lost(self, session: ServerSession) -> None:
        """A control connection is gone."""
        self.sessions.lost(session.sid)
        self._live.discard(session)
        self.origins.discard(session)

    def session_gone(self, session: ServerSession) -> None:
        """Neither its control connection nor a leg of it is left."""
        self._present.discard(session)
        self._see_off(session.peer.name)
        self.changed()

    def _see_off(self, name: str) -> None:
        """Forget a guest of whom nothing is left."""
        if name not in self.peers and not any(each.peer.name == name for each in self._present):
            self.guests.drop(name)

    def session_draining(self, session: ServerSession) -> None:
        """A client is about to stop: its successor need not ask whether it lives."""
        self.sessions.draining(session.sid)

    def spare(self) -> None:
        """Descriptors have become scarce: close idle legs."""
        for session in tuple(self._live):
            session.feed()

    # For who waits for the end.

    @property
    def holders(self) -> tuple[Peer, ...]:
        """All who hold ports or visitors, those of version 1 too."""
        return (*self.peers.values(), *(() if self.v1 is None else self.v1.peers))

    @property
    def connected(self) -> tuple[ServerSession, ...]:
        """Sessions whose control connection stands."""
        return tuple(self._live)

    @property
    def left(self) -> tuple[ServerSession, ...]:
        """Sessions with a control connection or a leg."""
        return tuple(self._present)
