"""An operator's view of a client: its servers, mappings, forwards and visitors. `linkview` has the view of one of its
links."""

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
    """The view of one link, in either version of the protocol."""

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
    """The view of one client."""

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
                # Imported late: only clients of a Go server need it.
                from gotunnel.client.v1.view import V1LinksView

                views.append(V1LinksView(link, self._clock, self.name))
        return views

    @property
    def name(self) -> str:
        """The client's name."""
        return self._service.config.name

    @property
    def age(self) -> float:
        """Seconds since the client was made."""
        return float(self._clock.seconds() - self._service.began)

    @property
    def draining(self) -> bool:
        """Whether new visitors are no longer served."""
        return self._service.draining

    @property
    def relay(self) -> str:
        """The name of the relay that moves the bytes."""
        return str(self._service.relay.name)

    @property
    def descriptors(self) -> Descriptors:
        """The descriptors of the process."""
        return self._service.descriptors

    @property
    def usage(self) -> Usage:
        """The statistics since the start."""
        return self._service.usage

    @property
    def pending(self) -> int:
        """Visitors waiting for a leg."""
        return self._forwards.pending if self._forwards is not None else 0

    def carried(self) -> tuple[int, int]:
        """Bytes to targets and back since the start, including those of current visitors."""
        over = self.usage.carried
        return added([(over.up, over.down), *(link.carried() for link in self.links)])

    def running(self) -> Iterator[Running]:
        """The account of each current visitor, and its bytes so far."""
        for link in self.links:
            yield from link.running()

    def sessions(self) -> Iterator[SessionView]:
        """The state of each server."""
        for link in self.links:
            yield link.session()
        for server, why in self._nowhere:
            yield SessionView(
                server, server, SessionState.CONNECTING, None, None, None, None, 2, 0, 0, 0, LegsView(0, 0), why
            )

    def mappings(self) -> Iterator[MappingView]:
        """The state of each mapping, forward and egress socket."""
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
        """Each current visitor."""
        for link in self.links:
            yield from link.streams()
        if self._forwards is not None:
            yield from self._forwards.streams(self._clock.seconds())

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id, served or waiting. Returns False if there is none."""
        links = self._service.links
        return any(link.kick(conn) for link in self.links) or (isinstance(links, Links) and links.forwards.kick(conn))

    def rights(self) -> Iterator[RightsView]:
        """Return nothing: only the server knows a client's rights."""
        return iter(())

    def legs(self) -> LegsView:
        """The numbers of legs of all links together."""
        return LegsView.all_of(link.legs for link in self.links)

    def expected(self) -> Iterator[tuple[str, bool]]:
        """Each server, and whether it is connected."""
        for link in self.links:
            if not (isinstance(link, LinkView) and link.in_reserve):
                yield link.server, link.up
        for server, _ in self._nowhere:
            yield server, False

    def round_trips(self) -> Iterator[tuple[str, float | None, float]]:
        """For each connected server: the last round trip, and the age of the last pong, in seconds."""
        for link in self.links:
            age = link.heard_age
            if age is not None:
                yield link.server, link.round_trip, age

    def alive(self) -> list[Finding]:
        """Report whether all links still run. A server that is away is no reason to restart a client."""
        wrong = [words for link in self.links if (words := link.alive())]
        return [Finding("links", not wrong, Sentence.joined("; ", wrong) or "each link is connected or connecting")]

    def ready(self, client: str | None = None) -> list[Finding]:
        """Report whether a server is connected and has opened what was requested."""
        links = self.links
        if self.draining:
            return [Finding("drain", False, "the client is draining: it accepts no new visitors")]
        words = [link.words() for link in links]
        words += [Sentence("{server}: {why}", server=server, why=why) for server, why in self._nowhere]
        found = [Finding("servers", any(link.up for link in links), Sentence.joined("; ", words))]
        up = {link.server for link in links if link.up}
        for view in self.mappings():
            if up and view.server and view.server not in up:
                continue  # this server is away, which `servers` reports; another one is connected
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
                # The client does its part: it reports this, and the server closes the port meanwhile.
                found.append(Finding(f"{view.kind} {view.name}", True, Sentence(
                    "its target is down: {reason}", reason=view.reason
                )))
            elif view.state is MappingState.OFF:
                found.append(Finding(f"{view.kind} {view.name}", True, view.reason))
        return found


def _warned(view: MappingView, clear: dict[str, str]) -> MappingView:
    """Return the view with a warning if its traffic can be read on the path. `clear` has the problems by name."""
    verdict = clear.get(view.name)
    if verdict is None or view.encrypted is not False or view.state is not MappingState.OPEN:
        return view
    return replace(view, reason=Sentence(
        "its target does not speak TLS: {verdict}; anybody on the path can read the traffic: remove encrypt: false",
        verdict=verdict,
    ))


def reconnect(view: ClientView, server: str | None) -> int | None:
    """End the sessions with a server, or with all; the links reconnect. Returns the number of streams reset, or None if
    there was no session."""
    cut = [link.reconnect() for link in view.links if server in (None, link.server)]
    there = [count for count in cut if count is not None]
    return sum(there) if there else None
