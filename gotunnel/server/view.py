"""The operator's view of a server: clients, mappings and visitors. It changes nothing.

Lists are generated while they are read, so that a long one can be read in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gotunnel.core.accounts import Running
from gotunnel.core.rights import Rights
from gotunnel.core.usage import Usage
from gotunnel.core.view import (
    Finding,
    LegsView,
    MappingView,
    RightsView,
    SessionState,
    SessionView,
    added,
)
from gotunnel.errors import Sentence
from gotunnel.net.descriptors import Descriptors
from gotunnel.server.keeping import GRACE
from gotunnel.server.mappingview import mappings
from gotunnel.server.peer import Peer
from gotunnel.server.session import ServerSession
from gotunnel.server.streams import Streams

if TYPE_CHECKING:
    from gotunnel.server.service import ServerService
    from gotunnel.server.v1.session import V1Session

__all__ = ["ServerView"]


class ServerView:
    """The view of one server for the admin API."""

    role = "server"

    def __init__(self, service: ServerService) -> None:
        self._service = service
        self._hub = service.hub
        self.streams = Streams(service.hub)

    # The process.

    @property
    def name(self) -> str:
        """The address where it listens for clients."""
        return str(self._service.address)

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return float(self._now - self._service.began)

    @property
    def draining(self) -> bool:
        """Whether draining has begun, so that no new visitors are admitted."""
        return self._service.draining

    @property
    def relay(self) -> str:
        """The name of the relay in use."""
        return str(self._hub.relay.name)

    @property
    def descriptors(self) -> Descriptors:
        """The file descriptors of the process."""
        return self._service.descriptors

    @property
    def usage(self) -> Usage:
        """The counters since the start."""
        return self._hub.usage

    @property
    def pending(self) -> int:
        """The number of visitors waiting for a leg."""
        return sum(peer.pending for peer in self._hub.holders)

    def carried(self) -> tuple[int, int]:
        """Bytes to targets and back since the start, including those of current visitors."""
        over = self.usage.carried
        return added([(over.up, over.down), self.streams.carried()])

    def running(self) -> Iterator[Running]:
        """Yield the account and the bytes so far of each visitor that is being served."""
        return self.streams.running()

    # Lists.

    def sessions(self) -> Iterator[SessionView]:
        """Yield each client that is connected, or for which ports are kept."""
        for peer in self._hub.holders:
            view, announced = self._session(peer), peer.announced
            if announced.nodes:
                view = replace(view, nodes=announced.taken, refused_nodes=announced.refused)
            yield view

    def mappings(self) -> Iterator[MappingView]:
        """Yield each mapping that the server holds, has refused to a connected client, or has switched off.

        The egress socket is included; its visitors are counted under the clients that lead to the nodes.
        """
        return mappings(self._hub, self.streams.here(), None if self.draining else self._service.egress)

    def rights(self) -> Iterator[RightsView]:
        """Yield each client with an identity, and each other client that is present."""
        hub = self._hub
        named = {identity.name: identity for identity in hub.identities}
        for name, identity in sorted(named.items()):
            state = identity.shut(hub.wall_clock()) or "active"
            source = "the clients file" if identity.filed else "the configuration"
            yield _rights(name, state, self.connected(name), source, identity.rights)
        for peer in hub.holders:
            if peer.name not in named:
                yield _rights(peer.name, "active", peer.session is not None, self._source(peer), peer.rights)

    def legs(self) -> LegsView:
        """The legs of all sessions together."""
        left = self._hub.left
        return LegsView.all_of(view for each in left for view in (each.legs_view, each.forward.legs_view))

    def expected(self) -> Iterator[tuple[str, bool]]:
        """Yield each client with a valid identity, and whether it is connected."""
        for identity in self._hub.identities:
            if identity.shut(self._hub.wall_clock()) is None:
                yield identity.name, self.connected(identity.name)

    def connected(self, client: str) -> bool:
        """Return whether a client of this name has a session with a live control connection."""
        peer = self._hub.peers.get(client)
        session = None if peer is None else peer.session
        return isinstance(session, ServerSession) and session.control.heard_age <= session.control.timeout

    def round_trips(self) -> Iterator[tuple[str, float | None, float]]:
        """Yield for each session: its client, the last round trip, and the age of the last pong."""
        for session in self._hub.connected:
            yield session.peer.name, session.control.round_trip, session.control.heard_age

    # Health.

    def alive(self) -> list[Finding]:
        """Check whether background tasks, here the heartbeats, still work."""
        late = [
            Sentence(
                "client {peer}: no pong for {heard_age:.0f} s, but it was not disconnected",
                peer=session.peer.name, heard_age=session.control.heard_age,
            )
            for session in self._hub.connected
            if session.control.heard_age > 2 * session.control.timeout
        ]
        count = len(self._hub.connected)
        well = Sentence("{count} sessions, all answering pings", count=count)
        return [Finding("heartbeat", not late, Sentence.joined("; ", late[:3]) or well)]

    def ready(self, client: str | None = None) -> list[Finding]:
        """Check whether clients can connect, and optionally whether one client is connected."""
        service = self._service
        found = []
        if service.draining:
            found.append(Finding("drain", False, "the server is draining: no new visitor is accepted"))
        elif service.accepting:
            found.append(Finding("control port", True, Sentence(
                "listening on {address}", address=service.address
            )))
        else:
            found.append(Finding("control port", False, "not accepting: see the log (file descriptors?)"))
        for each in () if service.draining else service.listeners:
            check = Sentence("listener {name}", name=each.name)
            if each.failure is None:
                found.append(Finding(check, True, Sentence("listening on {address}", address=each.address)))
            else:
                found.append(Finding(check, False, Sentence("it does not listen: {reason}", reason=each.failure)))
        egress = service.egress
        if egress is not None and egress.failure is not None and not service.draining:
            why = Sentence("failed: {reason}", reason=egress.failure)
            found.append(Finding(Sentence("egress {address}", address=egress.address), False, why))
        if client is not None:
            found.append(self._is_here(client))
        return found

    def _is_here(self, client: str) -> Finding:
        peer = self._hub.peers.get(client)
        session = None if peer is None else peer.session
        if not isinstance(session, ServerSession):
            return Finding("client", False, "the client is not connected")
        age, timeout = session.control.heard_age, session.control.timeout
        if age > timeout:
            return Finding("client", False, Sentence(
                "no pong from it for {age:.0f} s (heartbeat_timeout is {timeout:g})", age=age, timeout=timeout
            ))
        return Finding("client", True, Sentence(
            "connected from {address}, last pong {age:.1f} s ago", address=session.address, age=age
        ))

    # Internals.

    @property
    def _now(self) -> float:
        return float(self._hub.clock.seconds())

    def _source(self, peer: Peer) -> str:
        if peer.name not in self._hub.peers:
            return "server.v1"
        guest = self._hub.guests.get(peer.name)
        return "the shared token" if guest is None else f"the authenticator {guest.by.plugin}"

    def _session(self, peer: Peer) -> SessionView:
        session = peer.session
        if isinstance(session, ServerSession):
            control = session.control
            legs = LegsView.all_of((session.legs_view, session.forward.legs_view), session.most_legs)
            state = SessionState.DRAINING if session.draining else SessionState.CONNECTED
            return SessionView(
                peer.name, session.address, state, self._now - session.began, control.round_trip, control.heard_age,
                control.timeout, 2, len(peer.published.asked_for), peer.visitors - peer.pending, peer.pending, legs,
                agent=session.agent,
            )  # fmt: skip
        if session is None:
            left = peer.grace_left
            reason = "" if left is None else Sentence(
                "its ports are closed in {left:.0f} s unless it comes back", left=left
            )
            age = None if left is None else GRACE - left
            return SessionView(
                peer.name, "", SessionState.AWAY, age, None, None, None, 2 if peer.name in self._hub.peers else 1,
                len(peer.published.asked_for), peer.visitors - peer.pending, peer.pending, LegsView(), reason,
            )  # fmt: skip
        return self._old_session(peer, session)  # type: ignore[arg-type]

    def _old_session(self, peer: Peer, session: V1Session) -> SessionView:
        control, busy = session.control, len(session.served)
        return SessionView(
            peer.name, session.address, SessionState.CONNECTED, self._now - session.began, None,
            None if control is None else control.heard_age, None if control is None else control.timeout, 1,
            len(peer.published.asked_for), peer.visitors - peer.pending, peer.pending,
            LegsView(0, busy, session.legs_expected, session.most_legs),
        )  # fmt: skip


def _rights(client: str, state: str, connected: bool, source: str, rights: Rights) -> RightsView:
    binds = None if rights.binds is None else sorted(bind or "*" for bind in rights.binds)
    return RightsView(
        client, state, connected, source, str(rights.allow_ports), binds, list(rights.allow_dial.texts),
        list(rights.allow_nodes), rights.max_mappings, rights.max_legs, rights.max_visitors, rights.max_pending,
        str(rights.allow_udp_ports), list(rights.allow_groups),
    )  # fmt: skip
