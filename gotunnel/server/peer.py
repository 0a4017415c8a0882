"""All that the server holds for one client name and that outlives a session: public ports, waiting visitors, and the
time of grace after a session is lost. Who is the current session is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall

from gotunnel.core.outcome import Outcome
from gotunnel.core.rights import Rights
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import PortUnavailable, printable
from gotunnel.interfaces import ILocal
from gotunnel.logs import Logger
from gotunnel.net.visitor import Visitor, Waiting
from gotunnel.server.public import PublicPort
from gotunnel.wire.messages import Error, MappingRequest, MappingResult

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub
    from gotunnel.server.session import ServerSession

__all__ = ["Peer"]

GRACE = 30.0
"""Seconds that listeners outlive a lost session (protocol, section 4)."""
REOPEN = 5.0
"""Seconds between attempts to open the port of a target that is up again, when a program outside has taken it."""


class Peer:
    """One client name. Made when it first authenticates; dies when its last mapping is closed."""

    log = Logger()

    def __init__(self, hub: Hub, name: str) -> None:
        self.name = name
        self.mappings: dict[str, PublicPort] = {}
        self.session: ServerSession | None = None
        self.waiting = {plain: Waiting(hub.config.leg_wait) for plain in (False, True)}
        self.visitors = 0
        self._hub = hub
        self._clock = hub.clock
        self._named: set[str] = set()
        self._turn = DeferredLock()  # of whoever opens or closes ports: closing one takes a turn of the reactor
        self._stopped = False
        self._grace: IDelayedCall | None = None
        self._expiry: IDelayedCall | None = None
        self._to_reopen: set[str] = set()
        self._reopening: IDelayedCall | None = None

    @property
    def rights(self) -> Rights:
        """What this client may do now: to be asked anew whenever something is done."""
        return self._hub.rights_of(self.name)

    # Sessions.

    def begin(self, session: ServerSession) -> None:
        """A session takes its place: what waits is its business now."""
        self._cancel_grace()
        self.session = session
        self._named = set()
        session.feed()

    def lost(self, session: ServerSession) -> None:
        """The session has ended. Of a session that was replaced this changes nothing."""
        if self.session is session:
            self.session = None
            self._grace = self._clock.callLater(GRACE, self._grace_over)
            if not self.mappings:
                self._grace_over()

    # Mappings.

    # A session asks for all of these. Once another one has taken its place it changes nothing any more, not even the
    # rest of what it had asked for before.

    async def register(self, requests: tuple[MappingRequest, ...], session: ServerSession) -> list[MappingResult]:
        """Open what is asked for; each gets its own answer. Those that exist stay as they are, without re-binding."""
        results = []
        async with self._turn:
            for request in requests:
                if self.session is not session:
                    break
                try:
                    mapping = await self._opened(request)
                except PortUnavailable as refused:
                    self._hub.say_of(
                        self.name, "refused", "mapping {mapping} of client {client} is refused: {code}: {reason}",
                        mapping=request.name, code=refused.code, reason=printable(refused.reason),
                    )  # fmt: skip
                    results.append(MappingResult(request.name, "fail", None, refused.code, refused.reason))
                else:
                    results.append(MappingResult(request.name, "ok", mapping.port))
                    if self.session is session:
                        self._named.add(request.name)
        return results

    async def close_unnamed(self, session: ServerSession) -> None:
        """The session has named all that it wants: close the rest."""
        async with self._turn:
            await self._close([name for name in self.mappings if name not in self._named], session)

    async def unregister(self, names: Iterable[str], session: ServerSession) -> None:
        """Close mappings. Visitors that stream go on; those that wait are reset."""
        async with self._turn:
            await self._close(names, session)

    async def set_state(self, name: str, up: bool, reason: str, session: ServerSession) -> None:
        """The client says that a target is there, or is not."""
        async with self._turn:
            if self.session is session:
                await self._set_state(name, up, reason)

    def rights_changed(self) -> None:
        """Its rights may be others now: close what they leave out, at once if it may not come in any more."""
        if self.session is not None:
            self.session.most_legs = self.rights.max_legs
        if self._hub.knows(self.name):
            act, what = self._close_denied, "closing what client {client} may not publish any more"
        else:
            self._cancel_grace()
            act, what = self._wind_up, "closing the ports of client {client}"
        Deferred.fromCoroutine(act()).addErrback(lambda failure: self.log.failure(what, failure, client=self.name))

    async def _close_denied(self) -> None:
        async with self._turn:
            denied = self._denied()
            for name, refused in denied.items():
                self.log.warn(
                    "mapping {mapping} of client {client} is closed: its rights have changed: {code}: {reason}",
                    mapping=name, client=self.name, code=refused.code, reason=printable(refused.reason),
                )  # fmt: skip
            session = self.session
            await self._close(denied, session)
            if denied and session is not None:
                # It asks for its mappings when it comes back, and so hears which one is refused, and why.
                session.close(Error("going_away", "the rights of this client have changed"), "its rights have changed")

    def _denied(self) -> dict[str, PortUnavailable]:
        rights = self.rights
        denied: dict[str, PortUnavailable] = {}
        for name, mapping in self.mappings.items():
            try:
                rights.check_port(mapping.bind, mapping.port)
                rights.check_room(len(self.mappings) - len(denied) - 1)
            except PortUnavailable as refused:
                denied[name] = refused
        return denied

    async def stop(self) -> None:
        """Close all public ports for good; what streams goes on."""
        self._stopped = True
        self._cancel_grace()
        async with self._turn:
            await self._close(tuple(self.mappings), self.session)
        self._turn_away_all()

    async def _close(self, names: Iterable[str], session: ServerSession | None) -> None:
        for name in names:
            if self.session is not session and not self._stopped:
                break
            mapping = self.mappings.pop(name, None)
            self._named.discard(name)
            if mapping is not None:
                for waiting in self.waiting.values():
                    self._turn_away(waiting.take_all(name), Outcome.STOPPED)
                await mapping.close()
                self.log.info(
                    "mapping {mapping} of client {client} closed at {address}",
                    mapping=name, client=self.name, address=str(mapping.address),
                )  # fmt: skip

    async def _set_state(self, name: str, up: bool, reason: str) -> None:
        self._to_reopen.discard(name)
        mapping = self.mappings.get(name)
        if mapping is None or up == (mapping.suspended is None):
            return
        if up:
            try:
                self.rights.check_port(mapping.bind, mapping.port)
                mapping.resume()
            except PortUnavailable as refused:
                self.log.error(
                    "mapping {mapping} of client {client} cannot open again: {reason}; next try in {seconds:g} s",
                    mapping=name, client=self.name, reason=refused.reason, seconds=REOPEN,
                )  # fmt: skip
                self._to_reopen.add(name)
                if self._reopening is None:
                    self._reopening = self._clock.callLater(REOPEN, self._reopen)
                return
        else:
            await mapping.suspend(reason)
            for waiting in self.waiting.values():
                self._turn_away(waiting.take_all(name), Outcome.MAPPING_DOWN)
        self.log.info(
            "mapping {mapping} of client {client} is {state} at {address}: {reason}",
            mapping=name, client=self.name, state="up" if up else "down", address=str(mapping.address),
            reason=printable(reason),
        )  # fmt: skip

    def _reopen(self) -> None:
        self._reopening = None

        async def reopen() -> None:
            async with self._turn:
                for name in tuple(self._to_reopen):
                    await self._set_state(name, True, "its port is free again")

        Deferred.fromCoroutine(reopen()).addErrback(
            lambda failure: self.log.failure("opening ports of client {client} again", failure, client=self.name)
        )

    # Visitors.

    def arrived(self, mapping: PublicPort, local: ILocal) -> None:
        """A visitor is there: serve him now, or let him wait."""
        rights = self.rights
        visitor = Visitor(self._hub.next_conn(), mapping.name, mapping.plain, local, self._clock.seconds())
        local.on_gone = lambda: self._gone(visitor)
        self.visitors += 1
        self._hub.visitor_arrived(self, visitor)
        waiting = self.waiting[visitor.plain]
        if self.visitors > rights.max_visitors or self.pending >= rights.max_pending:
            self._turn_away([visitor], Outcome.DENIED)
            return
        if self.session is None or not self.session.serve(visitor):
            waiting.add(visitor)
            if self.session is not None:
                self.session.feed()
            self._plan_expiry()

    @property
    def pending(self) -> int:
        """Visitors that wait for a leg."""
        return sum(map(len, self.waiting.values()))

    def ended(self, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        """A visitor is over, served (then `end` tells more) or not."""
        self.visitors -= 1
        self._hub.visitor_ended(self, visitor, outcome, end)

    def _gone(self, visitor: Visitor) -> None:
        """He left while he waited; on a leg it is the leg that says so."""
        if self.waiting[visitor.plain].leave(visitor):
            self.ended(visitor, Outcome.VISITOR_LEFT)

    def _turn_away(self, visitors: list[Visitor], outcome: Outcome) -> None:
        for visitor in visitors:
            visitor.local.abort()
            self.ended(visitor, outcome)

    def _plan_expiry(self) -> None:
        now = self._clock.seconds()
        times = [t for t in (waiting.next_expiry(now) for waiting in self.waiting.values()) if t is not None]
        if times and self._expiry is None:
            self._expiry = self._clock.callLater(min(times), self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for waiting in self.waiting.values():
            self._turn_away(waiting.expired(self._clock.seconds()), Outcome.NO_LEG)
        self._plan_expiry()

    # Parts of the above.

    async def _opened(self, request: MappingRequest) -> PublicPort:
        if self._stopped:
            raise PortUnavailable("limit", "the server is about to stop")
        if request.protocol != "tcp":
            raise PortUnavailable("bad_request", f"the protocol {printable(request.protocol, 20)} is not supported")
        bind = self._hub.config.addr.host if request.bind is None else request.bind
        plain = not request.encrypt and self._hub.plain_legs
        mapping = self.mappings.get(request.name)
        if mapping is not None and (mapping.bind, mapping.wanted, mapping.plain) == (bind, request.remote_port, plain):
            self.rights.check_port(bind, mapping.port)
            if mapping.suspended is not None and request.name not in self._named:
                mapping.resume()  # a session that is new here says anew which targets are down
            return mapping
        if mapping is not None:
            await self._close([request.name], self.session)
        self.rights.check_room(len(self.mappings))
        mapping = PublicPort(
            request.name, bind, request.remote_port, plain, self._hub.relay, self._hub.ports,
            (self.name, request.name), self.arrived,
        )  # fmt: skip
        mapping.open(self.rights)
        self.mappings[request.name] = mapping
        self.log.info(
            "mapping {mapping} of client {client} open at {address}{how}",
            mapping=request.name, client=self.name, address=str(mapping.address),
            how=" (legs without TLS)" if plain else "",
        )  # fmt: skip
        if not request.encrypt and not plain and self._hub.tls is not None:
            self.log.info(
                "mapping {mapping} of client {client} says encrypt: false, which this server does not allow: its legs "
                "run inside TLS (server.allow_plain_legs: true would change that)",
                mapping=request.name, client=self.name,
            )  # fmt: skip
        return mapping

    def _grace_over(self) -> None:
        self._cancel_grace()
        if self.mappings:
            self.log.info(
                "client {client} did not come back within {seconds} s: its ports are closed",
                client=self.name, seconds=GRACE,
            )  # fmt: skip
        Deferred.fromCoroutine(self._wind_up()).addErrback(
            lambda failure: self.log.failure("closing the ports of client {client}", failure, client=self.name)
        )

    async def _wind_up(self) -> None:
        async with self._turn:
            await self._close(tuple(self.mappings), None)
            if self.session is None and not self.mappings:
                self._turn_away_all()
                self._hub.forget(self)

    def _turn_away_all(self) -> None:
        for waiting in self.waiting.values():
            self._turn_away(waiting.take_all(), Outcome.NO_LEG)
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None

    def _cancel_grace(self) -> None:
        grace, self._grace = self._grace, None
        if grace is not None and grace.active():
            grace.cancel()
