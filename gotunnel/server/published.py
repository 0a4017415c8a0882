"""The public ports of one client name: opens, closes and reopens them, one request at a time, and applies its rights.

Visitors are handled by the peer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredLock

from gotunnel.address import HostPort
from gotunnel.core.loglimit import once_in_a_while
from gotunnel.core.outcome import Outcome
from gotunnel.core.refused import Refusal, RefusedMappings
from gotunnel.core.view import STOPPING, SWITCHED_OFF
from gotunnel.errors import PortUnavailable, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.server.portkinds import port_for, terms
from gotunnel.server.public import PublicPort
from gotunnel.server.targets import Targets
from gotunnel.server.udpport import UdpPort, check_request, idle_of
from gotunnel.wire.messages import MappingRequest, MappingResult

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.keeping import PeerSession
    from gotunnel.server.peer import Peer

__all__ = ["Published"]

STRETCH = 16
"""The number of ports opened, closed or refused before a pause, because this takes time from all visitors."""
PAUSE = 0.005
"""The length of that pause in seconds. It leaves most of the time to other clients, however much one requests."""


class Published:
    """Part of a peer.

    Sessions call `register`, `close_unnamed`, `unregister` and `set_state`. A session that has been replaced has no
    further effect, not even with the rest of an earlier request.
    """

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer) -> None:
        self.mappings: dict[str, PublicPort] = {}
        self.refused = RefusedMappings()
        """The mappings that the current session has requested and was refused."""
        self._lines = once_in_a_while()
        self._hub = hub
        self._peer = peer
        self._clock = hub.clock
        self._named: set[str] = set()
        self._turn = DeferredLock()  # held while ports open or close, because closing takes a turn of the reactor
        self._stopped = False
        self._at_a_stretch = 0
        self._targets = Targets(hub, peer, self.mappings, self._turn)

    @property
    def asked_for(self) -> frozenset[str]:
        """The names of all mappings that its client wants: those it has, and those it was refused."""
        return frozenset((*self.mappings, *(refusal.name for refusal in self.refused)))

    def begin(self) -> None:
        """A session begins. Mappings that it does not register will be closed by `close_unnamed`."""
        self._named = set()
        self.refused.clear()
        self._lines = once_in_a_while()

    def rested(self) -> None:
        """Reset the count towards the next pause, after an idle period."""
        self._at_a_stretch = 0

    async def _breathe(self) -> None:
        self._at_a_stretch += 1
        if self._at_a_stretch % STRETCH == 0:
            pause: Deferred[None] = Deferred()
            self._clock.callLater(PAUSE, pause.callback, None)
            await pause

    async def register(self, requests: tuple[MappingRequest, ...], session: PeerSession) -> list[MappingResult]:
        """Open the requested mappings; return one result each. Existing ones with the same terms are not rebound."""
        results = []
        async with self._turn:
            for request in requests:
                await self._breathe()
                if self._peer.session is not session:
                    break
                try:
                    mapping = await self._opened(request)
                except PortUnavailable as refused:
                    self._refusal(request.name, refused.code, printable(refused.reason))
                    results.append(MappingResult(request.name, "fail", None, refused.code, refused.reason))
                    if self._peer.session is session:
                        self._remember(request, refused)
                else:
                    results.append(MappingResult(request.name, "ok", mapping.port or None))
                    if self._peer.session is session:
                        self._named.add(request.name)
                        self.refused.forget((request.name,))
        return results

    async def close_unnamed(self, session: PeerSession) -> None:
        """Close the mappings that the session has not registered, once it has registered all it wants."""
        async with self._turn:
            await self._close([name for name in self.mappings if name not in self._named], session)

    async def unregister(self, names: Iterable[str], session: PeerSession) -> None:
        """Close mappings. Streams continue; waiting visitors are reset."""
        async with self._turn:
            if self._peer.session is session:
                self.refused.forget(names)
            await self._close(names, session)

    async def set_state(self, name: str, up: bool, reason: str, session: PeerSession) -> None:
        """The client reports that a target is up or down."""
        async with self._turn:
            await self._breathe()
            if self._peer.session is session:
                await self._targets.changed(name, up, reason)

    async def switch(self, name: str, off: bool) -> bool:
        """Switch a mapping off or on for an operator; streams continue. Returns whether that is new.

        Raises PortUnavailable if it cannot open; it then stays off.
        """
        async with self._turn:
            mapping = self.mappings.get(name)
            if mapping is None:
                if name in self.refused:
                    self._peer.tell_shut(name, SWITCHED_OFF if off else None)
            elif mapping.off != off:
                await mapping.switch(off)
                self._peer.tell_shut(name, mapping.shut_here)
                if off:
                    self._peer.turn_away_from(name, Outcome.MAPPING_DOWN)
            # In this turn: what waits for the next one, a request or another command, must find it.
            return self._hub.switched(self._peer.name, name, off)

    def as_it_is(self, result: MappingResult) -> MappingResult:
        """Return a result with the mapping's state added, as of the moment when it is sent."""
        mapping = self.mappings.get(result.name) if result.status == "ok" else None
        shut = None if mapping is None else mapping.shut_here
        if (self._peer.name, result.name) in self._hub.switched_off:
            shut = SWITCHED_OFF
        return result if shut is None else replace(result, shut=shut)

    async def close_denied(self) -> bool:
        """Close the mappings that the rights no longer allow, and the newest ones if there are too many.

        Returns whether there were any.
        """
        async with self._turn:
            kept = 0
            names = tuple(self.mappings)
            for name in names:
                mapping = self.mappings[name]
                try:
                    mapping.check(self._peer.rights)
                    self._peer.rights.check_room(kept)
                except PortUnavailable as refused:
                    self.log.warn(
                        "mapping {mapping} of client {client} is closed: its rights have changed: {code}: {reason}",
                        mapping=name, client=self._peer.name, code=refused.code, reason=printable(refused.reason),
                    )  # fmt: skip
                    mapping.barred = True
                    await self._close_one(name)
                else:
                    kept += 1
            return kept < len(names)

    async def close_orphans(self) -> None:
        """Close everything, unless a session begins meanwhile."""
        async with self._turn:
            await self._close(tuple(self.mappings), None)

    async def stop(self) -> None:
        """Close everything for good. Streams continue, and visitors keep waiting."""
        self._stopped = True
        self.cancel()
        async with self._turn:
            for name in tuple(self.mappings):
                await self._close_one(name)

    def cancel(self) -> None:
        """Stop retrying to open ports that another program has."""
        self._targets.cancel()

    # Internals.

    def _refusal(self, mapping: str, code: str, reason: str) -> None:
        # Logged once in a while, because a client keeps asking.
        allowed, _ = self._lines.allow((mapping, code, reason), self._clock.seconds())
        if allowed:
            self._hub.say_of(
                self._peer.name, "refused", "mapping {mapping} of client {client} is refused: {code}: {reason}",
                mapping=mapping, code=code, reason=reason,
            )  # fmt: skip

    def _remember(self, request: MappingRequest, refused: PortUnavailable) -> None:
        if request.public is False:
            where = ""
        else:
            where = str(HostPort(request.bind or self._hub.config.addr.host, request.remote_port))
            where += "/udp" if request.protocol == "udp" else ""
        refusal = Refusal(request.name, where, refused.code, printable(refused.reason, 256), self._clock.seconds())
        self.refused.add(refusal, self._peer.rights.max_mappings)

    async def _close(self, names: Iterable[str], session: PeerSession | None) -> None:
        for name in names:
            if name in self.mappings:
                await self._breathe()
            if self._peer.session is not session:
                break
            await self._close_one(name)

    async def _close_one(self, name: str) -> None:
        mapping = self.mappings.pop(name, None)
        self._named.discard(name)
        if mapping is not None:
            if not self._stopped:
                mapping.ended = True
                self._peer.turn_away_from(name, Outcome.STOPPED)
            await mapping.close()
            self._hub.tell_of(
                self._peer.name, "closed", "mapping {mapping} of client {client} closed at {address}",
                mapping=name, address=mapping.where,
            )  # fmt: skip

    async def _opened(self, request: MappingRequest) -> PublicPort:
        if self._stopped or self._hub.stopping:
            raise PortUnavailable("limit", STOPPING)
        if request.protocol == "udp":
            check_request(self._hub, self._peer, request)
        elif request.protocol != "tcp":
            raise PortUnavailable("bad_request", Sentence(
                "the protocol {protocol} is not supported", protocol=printable(request.protocol, 20)
            ))
        hub, client = self._hub, self._peer.name
        bind = hub.config.addr.host if request.bind is None else request.bind
        plain = not request.encrypt and hub.plain_legs
        mapping = self.mappings.get(request.name)
        wished = port_for(hub, self._peer, request, bind, plain)
        if mapping is not None and terms(mapping) == terms(wished):
            mapping.check(self._peer.rights)
            if isinstance(mapping, UdpPort):
                mapping.flows.idle = idle_of(request)
            mapping.clients, mapping.tells_destination = request.clients or (), bool(request.dst)
            if mapping.off:
                hub.forward_news.off((client, request.name))  # others may reach it now
            if mapping.suspended is not None and request.name not in self._named:
                await mapping.resume()  # a new session reports anew which targets are down
            return mapping
        if mapping is not None:
            await self._close([request.name], self._peer.session)
        wished.check_wish(self._peer.rights)  # before check_room, whose error would hide one that more room cannot fix
        self._peer.rights.check_room(len(self.mappings))
        mapping = wished
        mapping.clients, mapping.tells_destination = request.clients or (), bool(request.dst)
        mapping.off = (client, request.name) in hub.switched_off
        await mapping.open(self._peer.rights)
        self.mappings[request.name] = mapping
        if mapping.off:
            hub.forward_news.off((client, request.name))
        hub.tell_of(
            client, "open", "mapping {mapping} of client {client} open at {address}{how}",
            mapping=request.name, address=mapping.where,
            how=f" ({SWITCHED_OFF})" if mapping.off else " (legs without TLS)" if plain else "",
        )  # fmt: skip
        if not request.encrypt and not plain and hub.tls is not None:
            hub.tell_of(
                client, "plain",
                "mapping {mapping} of client {client} has encrypt: false, which this server does not allow: its "
                "legs run inside TLS (set server.allow_plain_legs: true to allow it)",
                mapping=request.name,
            )  # fmt: skip
        return mapping
