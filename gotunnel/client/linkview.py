"""An operator's view of one link of a client: the state of its server, mappings and visitors. It can also reset a
visitor or end the session on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from gotunnel.address import HostPort
from gotunnel.client.link import Link
from gotunnel.client.session import ClientSession
from gotunnel.client.standing import MappingStatus, Standing
from gotunnel.config.model import MappingConfig
from gotunnel.core.accounts import Running
from gotunnel.core.view import (
    STOPPING,
    SWITCHED_OFF,
    SWITCHED_OFF_AT_SERVER,
    LegsView,
    MappingState,
    MappingView,
    SessionState,
    SessionView,
    StreamView,
    added,
)
from gotunnel.errors import Sentence
from gotunnel.wire.legstate import State

__all__ = ["LinkView"]

_STATES = {
    Standing.PENDING: MappingState.PENDING, Standing.OPEN: MappingState.OPEN, Standing.REFUSED: MappingState.REFUSED
}  # fmt: skip
_UNANSWERED = (State.DIALLING, State.DIALLING_FIN)


class LinkView:
    """The view of one link of version 2."""

    def __init__(self, link: Link, clock: Any, client: str) -> None:
        self._link = link
        self._clock = clock
        self._client = client
        self.server = link.label

    @property
    def up(self) -> bool:
        """Whether it is connected and the other end answers pings in time."""
        session = self._link.session
        return session is not None and session.control.heard_age <= session.control.timeout

    @property
    def in_reserve(self) -> bool:
        """Whether another link has the session with its server."""
        return bool(self._link.reserve)

    @property
    def round_trip(self) -> float | None:
        """Seconds of the last ping's round trip; None if there is none."""
        session = self._link.session
        return None if session is None else session.control.round_trip

    @property
    def heard_age(self) -> float | None:
        """Seconds since the last pong; None without a session."""
        session = self._link.session
        return None if session is None else session.control.heard_age

    @property
    def legs(self) -> LegsView:
        """The numbers of all its legs."""
        return LegsView.all_of(view for session in self._link.sessions for view in _legs(session))

    def session(self) -> SessionView:
        """The state of the session with the server."""
        link, now = self._link, self._clock.seconds()
        session, mappings = link.session, len(link.published.statuses)
        age: float | None = now - link.since
        reason, control = link.trouble, None
        if session is not None:
            state = SessionState.DRAINING if link.draining else SessionState.CONNECTED
            age, control = now - session.began, session.control
            if session.server_stops_in is not None:
                reason = STOPPING
        elif link.draining:
            state, reason = SessionState.DRAINING, "drained: it does not reconnect"
        elif link.next_try is not None:
            state = SessionState.WAITING
            soon = Sentence("next try in {seconds:.1f} s", seconds=max(0.0, link.next_try - now))
            reason = Sentence.joined("; ", (reason, soon))
        else:
            state = SessionState.CONNECTING
        return SessionView(
            self.server, self.server, state, age, None if control is None else control.round_trip,
            None if control is None else control.heard_age, None if control is None else control.timeout, 2, mappings,
            link.streams, 0, self.legs, reason, None, [] if session is None else list(session.taken_nodes),
            {} if session is None else dict(session.refused_nodes),
        )  # fmt: skip

    def mappings(self) -> Iterator[MappingView]:
        """The states of its mappings."""
        here = Counter(stream.name for session in self._link.sessions for stream in session.legs.streams.values())
        for status in self._link.published.statuses.values():
            yield self._mapping(status, here[status.config.name])

    def streams(self) -> Iterator[StreamView]:
        """Its current visitors."""
        now, client = self._clock.seconds(), self._client
        for session in self._link.sessions:
            for leg, stream in tuple(session.legs.streams.items()):
                state = "open" if stream.dial is None else "dialling"
                since = now - stream.started
                yield StreamView(stream.conn, client, stream.name, stream.source, state, since, *leg.carried)
            for leg, visitor in tuple(session.forward_legs.streams.items()):
                state = "dialling" if leg.state in _UNANSWERED else "open"
                since, address = now - visitor.arrived, visitor.local.address
                yield StreamView(visitor.conn, client, visitor.mapping, address, state, since, *leg.carried)

    def carried(self) -> tuple[int, int]:
        """Bytes of the current visitors: to their targets, and back."""
        return added(carried for _, carried in self.running())

    def running(self) -> Iterator[Running]:
        """The account of each current visitor, and its bytes so far."""
        for each in self._link.sessions:
            for leg, stream in each.legs.streams.items():
                yield stream.account, leg.carried
            for leg, visitor in each.forward_legs.streams.items():
                yield visitor.account, leg.carried

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id. Returns False if there is none."""
        return any(session.legs.kick(conn) or session.forward_legs.kick(conn) for session in self._link.sessions)

    def reconnect(self) -> int | None:
        """End the session and its streams; the link then reconnects. Returns the number of streams, None without a
        session."""
        session = self._link.session
        if session is None:
            return None
        cut = session.streams
        session.drop_legs()
        session.close("an operator has ended this session")
        return cut

    def alive(self) -> str:
        """Return what is wrong with the parts that should run by themselves; empty if nothing is."""
        session = self._link.session
        if self._link.broken:
            return Sentence("{server}: the link has ended unexpectedly; its log says why", server=self.server)
        if session is not None and session.control.heard_age > 2 * session.control.timeout:
            return Sentence(
                "{server}: no pong for {heard_age:.0f} s, but it was not given up",
                server=self.server, heard_age=session.control.heard_age,
            )
        return ""

    def words(self) -> str:
        """Describe its state in one sentence."""
        session, view = self._link.session, self.session()
        if session is None:
            return Sentence(
                "{server}: not connected: {reason}",
                server=self.server, reason=view.reason or "the first attempt is in progress",
            )
        age, timeout = session.control.heard_age, session.control.timeout
        if age > timeout:
            return Sentence(
                "{server}: no pong for {age:.0f} s (the timeout is {timeout:g})",
                server=self.server, age=age, timeout=timeout,
            )
        return Sentence("{server}: connected, last pong {age:.1f} s ago", server=self.server, age=age)

    def _mapping(self, status: MappingStatus, streams: int) -> MappingView:
        config = status.config
        state, reason = _STATES[status.standing], status.reason
        if config.name in self._link.published.off:
            state, reason = MappingState.OFF, SWITCHED_OFF
        elif self._link.session is None:
            state, reason = MappingState.PENDING, "not connected"
        elif status.shut is not None:
            state, reason = MappingState.FAILED, status.shut
            if reason == SWITCHED_OFF:
                state, reason = MappingState.OFF, SWITCHED_OFF_AT_SERVER
        elif state is MappingState.OPEN and status.down is not None:
            state, reason = MappingState.DOWN, status.down
        dropped = status.dropped.total() if config.protocol == "udp" else None
        if dropped and not reason:
            reason = Sentence("{count} datagrams dropped", count=dropped)
        if not config.public:
            address: str = Sentence("no port, for the clients {clients}", clients=", ".join(config.clients))
        elif status.address is not None:
            address = status.where
        else:
            address = str(HostPort(config.bind or self._link.path.address.host, config.remote_port))
            address += "/udp" if config.protocol == "udp" else ""
        return MappingView(
            self._client, config.name, "mapping", address, str(config.local), state, reason, streams,
            status.carried.ended, status.carried.up, status.carried.down, self.server,
            self._clock.seconds() - status.since if state is MappingState.REFUSED else None, config.protocol,
            dropped, self._encrypted(config),
        )  # fmt: skip

    def _encrypted(self, config: MappingConfig) -> bool | None:
        if config.encrypt or not self._link.path.encrypted:
            return self._link.path.encrypted
        session = self._link.session
        return None if session is None else not session.forward_legs.plain_legs  # whether the server takes plain legs


def _legs(session: ClientSession) -> tuple[LegsView, LegsView]:
    return session.legs.legs_view, session.forward_legs.legs_view
