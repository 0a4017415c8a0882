"""What an operator sees of a client: its servers, its mappings and forwards, and who visits. A client may have several
links, each to a server of its own; what one of them looks like is in `linkview`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from gotunnel.client.forwardview import ForwardsView
from gotunnel.client.link import Link
from gotunnel.client.links import Links
from gotunnel.client.linkview import LinkView
from gotunnel.core.accounts import Running
from gotunnel.core.usage import Usage
from gotunnel.core.view import (
    Finding,
    LegsView,
    MappingState,
    MappingView,
    RightsView,
    SessionState,
    SessionView,
    StreamView,
    added,
)
from gotunnel.errors import Sentence
from gotunnel.net.descriptors import Descriptors

if TYPE_CHECKING:
    from gotunnel.client.service import ClientService

__all__ = ["ClientView", "reconnect"]


class OneLink(Protocol):
    """What the links of both versions of the protocol can be asked."""

    server: str

    @property
    def up(self) -> bool: ...
    @property
    def round_trip(self) -> float | None: ...
    @property
    def heard_age(self) -> float | None: ...
    @property
    def legs(self) -> LegsView: ...
    def session(self) -> SessionView: ...
    def mappings(self) -> Iterator[MappingView]: ...
    def streams(self) -> Iterator[StreamView]: ...
    def carried(self) -> tuple[int, int]: ...
    def running(self) -> Iterator[Running]: ...
    def kick(self, conn: str) -> bool: ...
    def reconnect(self) -> int | None: ...
    def alive(self) -> str: ...
    def words(self) -> str: ...


class ClientView:
    """The face of one client towards its operator."""

    role = "client"

    def __init__(self, service: ClientService, clock: Any) -> None:
        self._service = service
        self._clock = clock

    @property
    def _forwards(self) -> ForwardsView | None:
        links = self._service.links
        if not isinstance(links, Links):
            return None
        return ForwardsView(links.forwards, self.name, encrypted=self._service.config.tls.mode != "off")

    @property
    def _nowhere(self) -> list[tuple[str, str]]:
        links = self._service.links
        found = links.servers.nowhere if isinstance(links, Links) else []
        return [(str(server), why or "the first attempt is in progress") for server, why in found]

    @property
    def _served(self) -> Counter[str]:
        links = self._service.links
        return links.streams_by_forward if isinstance(links, Links) else Counter()

    @property
    def links(self) -> list[OneLink]:
        """A view for each link, in the order of the configuration."""
        views: list[OneLink] = []
        for link in self._service.each_link:
            if isinstance(link, Link):
                views.append(LinkView(link, self._clock, self.name))
            else:
                # Loaded by clients of a Go server, and by no others.
                from gotunnel.client.v1.view import V1LinksView

                views.append(V1LinksView(link, self._clock, self.name))
        return views

    @property
    def name(self) -> str:
        """The client's name."""
        return self._service.config.name

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return float(self._clock.seconds() - self._service.began)

    @property
    def draining(self) -> bool:
        """Whether no visitor is served any more but those who were there."""
        return self._service.draining

    @property
    def relay(self) -> str:
        """How bytes are moved."""
        return str(self._service.relay.name)

    @property
    def descriptors(self) -> Descriptors:
        """Those of the process."""
        return self._service.descriptors

    @property
    def usage(self) -> Usage:
        """What was done since the start."""
        return self._service.usage

    @property
    def pending(self) -> int:
        """Visitors waiting for a leg."""
        return self._forwards.pending if self._forwards is not None else 0

    def carried(self) -> tuple[int, int]:
        """Bytes to targets and back since the start, those of visitors that are here included."""
        over = self.usage.carried
        return added([(over.up, over.down), *(link.carried() for link in self.links)])

    def running(self) -> Iterator[Running]:
        """What each of those who are served is counted on, and his bytes so far."""
        for link in self.links:
            yield from link.running()

    def sessions(self) -> Iterator[SessionView]:
        """Each server."""
        for link in self.links:
            yield link.session()
        for server, why in self._nowhere:
            yield SessionView(
                server, server, SessionState.CONNECTING, None, None, None, None, 2, 0, 0, 0, LegsView(0, 0), why
            )

    def mappings(self) -> Iterator[MappingView]:
        """Each mapping, forward and egress socket."""
        links, forwards = self._service.links, self._forwards
        clear, forwards_clear = (links.in_clear, links.forwards_in_clear) if isinstance(links, Links) else ({}, {})
        for link in self.links:
            for mapping in link.mappings():
                yield _warned(mapping, clear)
        if forwards is not None:
            for forward in forwards.mappings(self._served):
                yield _warned(forward, forwards_clear)

    @property
    def streams(self) -> Iterator[StreamView]:
        """Each visitor."""
        for link in self.links:
            yield from link.streams()
        if self._forwards is not None:
            yield from self._forwards.streams(self._clock.seconds())

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id, also one who waits; False if there is none."""
        links = self._service.links
        return any(link.kick(conn) for link in self.links) or (isinstance(links, Links) and links.forwards.kick(conn))

    def rights(self) -> Iterator[RightsView]:
        """A client does not know them: its server does."""
        return iter(())

    def legs(self) -> LegsView:
        """Those of all links together."""
        return LegsView.all_of(link.legs for link in self.links)

    def expected(self) -> Iterator[tuple[str, bool]]:
        """Each server, and whether it is connected."""
        for link in self.links:
            if not (isinstance(link, LinkView) and link.in_reserve):
                yield link.server, link.up
        for server, _ in self._nowhere:
            yield server, False

    def round_trips(self) -> Iterator[tuple[str, float | None, float]]:
        """For each server that is connected: the last round trip, and the age of the last pong."""
        for link in self.links:
            age = link.heard_age
            if age is not None:
                yield link.server, link.round_trip, age

    def alive(self) -> list[Finding]:
        """Say whether what runs by itself still runs. A server that is away is no reason to start a client anew."""
        wrong = [words for link in self.links if (words := link.alive())]
        return [Finding("links", not wrong, Sentence.joined("; ", wrong) or "each link is connected or connecting")]

    def ready(self, client: str | None = None) -> list[Finding]:
        """Say whether a server is there and has opened what it was asked for."""
        links = self.links
        if self.draining:
            return [Finding("drain", False, "the client is draining: it accepts no new visitors")]
        words = [link.words() for link in links]
        words += [Sentence("{server}: {why}", server=server, why=why) for server, why in self._nowhere]
        found = [Finding("servers", any(link.up for link in links), Sentence.joined("; ", words))]
        up = {link.server for link in links if link.up}
        for view in self.mappings():
            if up and view.server and view.server not in up:
                continue  # this server is away, and `servers` says so; another one is there
            if view.state in (MappingState.REFUSED, MappingState.FAILED):
                why = (
                    Sentence("refused: {reason}", reason=view.reason)
                    if view.state is MappingState.REFUSED
                    else Sentence("failed: {reason}", reason=view.reason)
                )
                found.append(Finding(f"{view.kind} {view.name}", False, why))
            elif view.state is MappingState.PENDING:
                found.append(Finding(f"{view.kind} {view.name}", False, view.reason or "not answered yet"))
            elif view.state is MappingState.DOWN:
                # The client does what it can: it says so, and the server's port is closed meanwhile.
                found.append(Finding(f"{view.kind} {view.name}", True, Sentence(
                    "its target is down: {reason}", reason=view.reason
                )))
            elif view.state is MappingState.OFF:
                found.append(Finding(f"{view.kind} {view.name}", True, view.reason))
        return found


def _warned(view: MappingView, clear: dict[str, str]) -> MappingView:
    """Return it with a warning if whoever is on the path reads what it carries; `clear` says of which targets."""
    verdict = clear.get(view.name)
    if verdict is None or view.encrypted is not False or view.state is not MappingState.OPEN:
        return view
    return replace(view, reason=Sentence(
        "its target does not speak TLS: {verdict}; anybody on the path can read the traffic: remove encrypt: false",
        verdict=verdict,
    ))


def reconnect(view: ClientView, server: str | None) -> int | None:
    """End the sessions with a server, or with all; they come back. None if there is none."""
    cut = [link.reconnect() for link in view.links if server in (None, link.server)]
    there = [count for count in cut if count is not None]
    return sum(there) if there else None
