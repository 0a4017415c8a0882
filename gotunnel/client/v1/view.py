"""An operator's view of a client of a Go server, where each mapping has a connection. The counterpart of
`client.linkview` for version 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gotunnel.address import HostPort
from gotunnel.client.standing import Standing
from gotunnel.client.v1.links import V1Links
from gotunnel.client.v1.serving import NOBODY
from gotunnel.core.accounts import Running
from gotunnel.core.view import (
    SWITCHED_OFF,
    LegsView,
    MappingState,
    MappingView,
    SessionState,
    SessionView,
    StreamView,
    added,
)
from gotunnel.errors import Sentence

__all__ = ["V1LinksView"]


class V1LinksView:
    """The view of all mappings of one client together."""

    round_trip = None
    """Not known: version 1 answers pings, but the answers do not say which ping they belong to."""

    def __init__(self, links: V1Links, clock: Any, client: str) -> None:
        self._links = links
        self._clock = clock
        self._client = client
        self.server = str(links.address)

    @property
    def up(self) -> bool:
        """Whether any of its mappings is registered and its connection alive."""
        return any(
            link.current is not None and link.current.control.heard_age <= link.current.control.timeout
            for link in self._links.links
        )

    @property
    def heard_age(self) -> float | None:
        """The longest time, over all connections, since the server was heard from, in seconds."""
        ages = [link.current.control.heard_age for link in self._links.links if link.current is not None]
        return max(ages, default=None)

    @property
    def legs(self) -> LegsView:
        """The number of legs: each has a visitor."""
        return LegsView(0, self._links.streams)

    def session(self) -> SessionView:
        """The state of the sessions with the server."""
        current = [link.current for link in self._links.links if link.current is not None]
        state = SessionState.CONNECTED if current else SessionState.CONNECTING
        if self._links.draining:
            state = SessionState.DRAINING
        now, count = self._clock.seconds(), len(self._links.links)
        return SessionView(
            self.server, self.server, state, max((now - each.began for each in current), default=None), None,
            self.heard_age, current[0].control.timeout if current else None, 1, count, self._links.streams, 0,
            self.legs, "" if current else "no mapping is registered; the log says why",
        )  # fmt: skip

    def mappings(self) -> Iterator[MappingView]:
        """The states of its mappings."""
        for link in self._links.links:
            status = self._links.published.statuses[link.mapping.name]
            state, reason = MappingState.PENDING, status.reason
            if link.mapping.name in self._links.published.off:
                state, reason = MappingState.OFF, SWITCHED_OFF
            elif status.down is not None:
                state, reason = MappingState.DOWN, status.down
            elif status.standing is Standing.OPEN and link.current is not None:
                state, reason = MappingState.OPEN, ""
            elif status.standing is Standing.REFUSED:
                state = MappingState.REFUSED
            config = status.config
            yield MappingView(
                self._client, config.name, "mapping", str(HostPort(self._links.address.host, config.remote_port)),
                str(config.local), state, reason, link.streams, status.carried.ended, status.carried.up,
                status.carried.down, self.server, encrypted=False,
            )  # fmt: skip

    def streams(self) -> Iterator[StreamView]:
        """Its current visitors."""
        now = self._clock.seconds()
        for link in self._links.links:
            for session in link.sessions:
                for joint, stream in session.served:
                    name, since = link.mapping.name, now - stream.began
                    yield StreamView(stream.conn, self._client, name, NOBODY, "open", since, *joint.carried)
                for stream in session.dialling:
                    name, since = link.mapping.name, now - stream.began
                    yield StreamView(stream.conn, self._client, name, NOBODY, "dialling", since, 0, 0)

    def carried(self) -> tuple[int, int]:
        """Bytes of the current visitors: to their targets, and back."""
        return added(carried for _, carried in self.running())

    def running(self) -> Iterator[Running]:
        """The account of each current visitor, and its bytes so far."""
        for link in self._links.links:
            for session in link.sessions:
                for joint, stream in session.served:
                    yield stream.account, joint.carried

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id. Returns False if there is none."""
        return any(session.kick(conn) for link in self._links.links for session in link.sessions)

    def reconnect(self) -> int | None:
        """End all sessions and their streams; the links reconnect. Returns the number of streams, None without a
        session."""
        found = [link.current for link in self._links.links if link.current is not None]
        cut = sum(session.streams for session in found)
        for session in found:
            session.reset_streams()
            session.close("an operator has ended this session")
        return cut if found else None

    def alive(self) -> str:
        """Return what is wrong with the links, which should run by themselves; empty if nothing is."""
        broken = [link.mapping.name for link in self._links.links if link.broken]
        return Sentence(
            "{server}: the links of {broken} have ended unexpectedly",
            server=self.server, broken=', '.join(broken[:3]),
        ) if broken else ""

    def words(self) -> str:
        """Describe its state in one sentence."""
        count = sum(link.current is not None for link in self._links.links)
        return Sentence(
            "{server}: {count} of {links} mappings are registered (version 1)",
            server=self.server, count=count, links=len(self._links.links),
        )
