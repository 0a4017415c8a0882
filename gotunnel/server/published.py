"""The public ports of one client name: opened, closed and opened again, one request after the other, and checked anew
when its rights change. Who comes to them is for the peer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredLock

from gotunnel.address import HostPort
from gotunnel.core.loglimit import once_in_a_while
from gotunnel.core.outcome import Outcome
from gotunnel.core.refused import Refusal, RefusedMappings
from gotunnel.core.view import SWITCHED_OFF
from gotunnel.errors import PortUnavailable, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.server.groups import MemberPort
from gotunnel.server.public import HiddenPort, PublicPort
from gotunnel.server.targets import Targets
from gotunnel.server.udpport import UdpPort, check_request, idle_of
from gotunnel.wire.messages import MappingRequest, MappingResult

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.keeping import PeerSession
    from gotunnel.server.peer import Peer

__all__ = ["Published"]

STRETCH = 16
"""Ports that are opened, closed or refused without a pause: each takes time from the visitors of everybody."""
PAUSE = 0.005
"""Seconds of that pause: what one client asks for leaves most of the time to others, however much it is."""


class Published:
    """Part of a peer. A session asks for `register` to `set_state`; once another one has taken its place it changes
    nothing any more, not even the rest of what it had asked for before."""

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer) -> None:
        self.mappings: dict[str, PublicPort] = {}
        self.refused = RefusedMappings()
        """What the current session asks for and does not get."""
        self._lines = once_in_a_while()
        self._hub = hub
        self._peer = peer
        self._clock = hub.clock
        self._named: set[str] = set()
        self._turn = DeferredLock()  # of whoever opens or closes ports: closing one takes a turn of the reactor
        self._stopped = False
        self._at_a_stretch = 0
        self._targets = Targets(hub, peer, self.mappings, self._turn)

    @property
    def asked_for(self) -> frozenset[str]:
        """The names of all that its client wants: what it has, and what it was refused."""
        return frozenset((*self.mappings, *(refusal.name for refusal in self.refused)))

    def begin(self) -> None:
        """A session begins: what it does not name is closed when it has named all that it wants."""
        self._named = set()
        self.refused.clear()
        self._lines = once_in_a_while()

    def rested(self) -> None:
        """There was nothing to do for a while."""
        self._at_a_stretch = 0

    async def _breathe(self) -> None:
        self._at_a_stretch += 1
        if self._at_a_stretch % STRETCH == 0:
            pause: Deferred[None] = Deferred()
            self._clock.callLater(PAUSE, pause.callback, None)
            await pause

    async def register(self, requests: tuple[MappingRequest, ...], session: PeerSession) -> list[MappingResult]:
        """Open what is asked for; each gets its own answer. Those that exist stay as they are, without re-binding."""
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
        """The session has named all that it wants: close the rest."""
        async with self._turn:
            await self._close([name for name in self.mappings if name not in self._named], session)

    async def unregister(self, names: Iterable[str], session: PeerSession) -> None:
        """Close mappings. Visitors that stream go on; those that wait are reset."""
        async with self._turn:
            if self._peer.session is session:
                self.refused.forget(names)
            await self._close(names, session)

    async def set_state(self, name: str, up: bool, reason: str, session: PeerSession) -> None:
        """The client says that a target is there, or is not."""
        async with self._turn:
            await self._breathe()
            if self._peer.session is session:
                await self._targets.changed(name, up, reason)

    async def switch(self, name: str, off: bool) -> None:
        """An operator wants a mapping off, or on again: who streams goes on. Raises PortUnavailable when it cannot
        be on."""
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

    def as_it_is(self, result: MappingResult) -> MappingResult:
        """Return a result with what is to be said of the mapping at the moment when it is sent."""
        mapping = self.mappings.get(result.name) if result.status == "ok" else None
        shut = None if mapping is None else mapping.shut_here
        if (self._peer.name, result.name) in self._hub.switched_off:
            shut = SWITCHED_OFF
        return result if shut is None else replace(result, shut=shut)

    async def close_denied(self) -> bool:
        """Close what the rights leave out now; where there are too many mappings, those that came last. Say whether
        there was any."""
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
        """Close everything, unless a session comes and wants it."""
        async with self._turn:
            await self._close(tuple(self.mappings), None)

    async def stop(self) -> None:
        """Close everything for good; what streams goes on, and so does who waits."""
        self._stopped = True
        self.cancel()
        async with self._turn:
            for name in tuple(self.mappings):
                await self._close_one(name)

    def cancel(self) -> None:
        """Try no more to open what another program has."""
        self._targets.cancel()

    # Parts of the above.

    def _refusal(self, mapping: str, code: str, reason: str) -> None:
        # A client asks again for ever.
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
                self._peer.turn_away_from(name, Outcome.STOPPED)
            await mapping.close()
            self._hub.tell_of(
                self._peer.name, "closed", "mapping {mapping} of client {client} closed at {address}",
                mapping=name, address=mapping.where,
            )  # fmt: skip

    async def _opened(self, request: MappingRequest) -> PublicPort:
        if self._stopped:
            raise PortUnavailable("limit", "the server is about to stop")
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
        wished = self._wished(request, bind, plain)
        if mapping is not None and _terms(mapping) == _terms(wished):
            mapping.check(self._peer.rights)
            if isinstance(mapping, UdpPort):
                mapping.flows.idle = idle_of(request)
            mapping.clients, mapping.tells_destination = request.clients or (), bool(request.dst)
            if mapping.suspended is not None and request.name not in self._named:
                await mapping.resume()  # a session that is new here says anew which targets are down
            return mapping
        if mapping is not None:
            await self._close([request.name], self._peer.session)
        wished.check_wish(self._peer.rights)  # a limit would hide what no room can mend
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

    def _wished(self, request: MappingRequest, bind: str, plain: bool) -> PublicPort:
        """Return the port that is asked for, not open yet. Raises PortUnavailable."""
        hub, peer, name = self._hub, self._peer, request.name
        hidden = request.public is False
        if request.protocol == "udp":
            return UdpPort(hub, peer, request, bind, plain)
        if request.group is not None:
            if hidden:
                raise PortUnavailable("bad_request", "a group is for the visitors of a port, and this mapping has none")
            return MemberPort(name, request.group, bind, request.remote_port, plain, hub, peer)
        port = (HiddenPort if hidden else PublicPort)(
            name, bind, request.remote_port, plain, peer.relay, hub.ports, (peer.name, name), peer.arrived
        )
        port.fronts = hub.fronts
        port.choose, port.vet = hub.chooser(peer.name, name, bind), hub.vetter(peer.name, name, bind)
        return port


def _terms(mapping: PublicPort) -> tuple[object, ...]:
    """Return what two must share for one to serve as the other."""
    return type(mapping), mapping.group_name, mapping.bind, mapping.wanted, mapping.plain
