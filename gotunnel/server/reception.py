"""The control port's door: who may wait there, for how long, and whether he speaks TLS. What he says is for the
greeting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from gotunnel.address import HostPort
from gotunnel.config.model import ServerConfig
from gotunnel.core.admission import Admission, Ticket
from gotunnel.core.penalties import Offence
from gotunnel.core.sources import source_of
from gotunnel.errors import Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.biotls import BioTls
from gotunnel.net.legtls import client_refused
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.sockets import set_nodelay
from gotunnel.net.tls import ServerTls
from gotunnel.net.transports import hand_over
from gotunnel.server.greeting import ServerGreeting
from gotunnel.server.hub import Hub
from gotunnel.server.origins import LEG_SNI
from gotunnel.server.refusals import Refusals
from gotunnel.server.session import ServerSession
from gotunnel.wire.clienthello import server_name

__all__ = ["Door", "Reception"]

TLS_HELLO = 0x16
PLAIN_FRAME = 0x00
LEGS_AT_ONCE = 64
"""Connections that may ask for the legs of one session side by side, beside all limits on strangers. A client dials 24
reverse legs at a time."""
NO_TLS = b"\x15\x03\x03\x00\x02\x02\x46"
"""A fatal alert protocol_version (RFC 8446, 5.1 and 6.2)."""


Place = Callable[[], None]
"""The place of a stranger; to call it gives it back, once."""


class Reception(ServerFactory):
    """Makes a Door for each connection, and keeps how many strangers wait within limits."""

    noisy = False
    log = Logger()

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.refusals = Refusals(hub.config.penalties, hub.clock, self.say)
        self._admission = Admission(hub.most_strangers, hub.config.limits.unauthenticated_per_address)
        self._doors: set[Door] = set()
        self._held: dict[Ticket, Door] = {}
        self._legs: Counter[ServerSession] = Counter()  # let in beside the limits, for what they ask for

    def use(self, config: ServerConfig) -> None:
        """The configuration has changed; `hub.most_strangers` is what follows from it there."""
        self.refusals.use(config.penalties)
        self._admission.use(self.hub.most_strangers, config.limits.unauthenticated_per_address)

    @property
    def strangers(self) -> int:
        """Connections that have not proved anything yet."""
        return len(self._doors)

    def buildProtocol(self, addr: IAddress | None) -> Door | None:
        """Called by Twisted for each connection. None closes it at once.

        From an address that is refused, legs may still come if a client is connected from there: he who shares an
        address with a guesser is not to lose his visitors.
        """
        host = getattr(addr, "host", "unix")
        if not self.refusals.refuses(host):
            return Door(self)
        legs = self.hub.origins.live_at(host) or self.hub.legs_expected_from(host)
        return Door(self, legs_only=True) if legs else None

    def admit(self, door: Door) -> Place:
        """Let a stranger in; if there are too many, the oldest of the most crowded address goes. Returns what to call
        when he is no stranger any more, or gone.

        From where legs were asked for, as many come in beside the limit of one address.
        """
        self._doors.add(door)
        expected = self.hub.legs_expected_from(door.host)
        ticket, victim = self._admission.admit(door.host, self.hub.clock.seconds(), expected)
        self._held[ticket] = door
        if victim is not None:
            self.say("crowd", "too many unauthenticated connections: the oldest, from {address}, was closed",
                     victim.group)
            self._held[victim].turn_out()
        return lambda: self._give_back(ticket)

    def place_for_leg(self, session: ServerSession) -> Place | None:
        """Return a place beside the limits for one who asks for the server name of this session's legs, unless too many
        do already: however crowded his address is, he is not pushed out."""
        if self._legs.get(session, 0) >= LEGS_AT_ONCE:
            return None
        self._legs[session] += 1
        return lambda: self._give_back_aside(session)

    def gone(self, door: Door) -> None:
        """He is no stranger any more, or gone."""
        self._doors.discard(door)

    def _give_back(self, ticket: Ticket) -> None:
        self._admission.release(ticket)
        del self._held[ticket]

    def _give_back_aside(self, session: ServerSession) -> None:
        self._legs[session] -= 1
        if not self._legs[session]:
            del self._legs[session]

    def close_all(self) -> None:
        """Turn all strangers out, those included that are just being refused."""
        for door in tuple(self._doors):
            door.turn_out()
        self.refusals.stop()

    def say(self, kind: str, words: str, address: str, **values: Any) -> None:
        """Log what a stranger did, unless strangers fill the log already."""
        more = self.hub.stranger_lines.more(kind, self.hub.clock.seconds())
        if more is not None:
            self.log.warn(words + "{more}", address=printable(address), more=more, **values)


class Door(Protocol):
    """One connection until its first byte tells what it is; then the deadline and the place in the crowd go on to the
    greeting."""

    transport: Any

    def __init__(self, reception: Reception, legs_only: bool = False) -> None:
        self.host = ""
        self.source = ""
        self.address = ""
        self.legs_only = legs_only
        self.since = reception.hub.clock.seconds()
        self._reception = reception
        self._hub = reception.hub
        self._place: Place | None = None
        self._first = b""  # of a TLS connection that has not told yet where it wants to go
        self._told = False
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Start the one deadline that runs until the proof."""
        peer = self.transport.getPeer()
        self.host = getattr(peer, "host", "unix")
        self.source = source_of(self.host)
        self.address = str(HostPort(self.host, getattr(peer, "port", 0)))
        set_nodelay(self.transport.getHandle())
        self._place = self._reception.admit(self)
        # Who comes through a proxy has used some of his time before it was known from where.
        left = self._hub.config.handshake_timeout - getattr(self.transport, "waited", 0.0)
        self._deadline = self._hub.clock.callLater(max(0.0, left), self._late)

    def dataReceived(self, data: bytes) -> None:
        """The first bytes."""
        if self._told:
            return
        data = self._first + data
        first, tls = data[0], self._hub.tls
        if first == TLS_HELLO and tls is not None:
            self._route_tls(tls, data)
        elif first == PLAIN_FRAME:
            hand_over(self.transport, ServerGreeting(self._hub, self, None), data)
        elif first == TLS_HELLO:
            self._refuse_tls()
        else:
            self.charge(Offence.NO_AUTH)
            self.turn_out()

    def _refuse_tls(self) -> None:
        """Say so at both ends: an alert is all that a TLS client understands."""
        self._told = True
        self.say(
            "tls_off",
            "{address} speaks TLS, but server.tls.mode is off: closed; both files must have the same tls.mode",
        )
        self.transport.write(NO_TLS)
        self.transport.loseConnection()

    def _route_tls(self, tls: ServerTls, data: bytes) -> None:
        """Start TLS. By the name that it asks for a leg is told from a control connection, where the two use different
        libraries; a leg that does not say so works all the same."""
        known, name = server_name(data)
        if not known:
            self._first = data
            return
        session_of_leg = self._hub.origins.named(name)
        if session_of_leg is not None:
            self._stand_aside(session_of_leg)
        greeting = ServerGreeting(self._hub, self, tls)
        session: Any
        if tls.leg_context is not None and name is not None and name.endswith(LEG_SNI):
            session = BioTls(tls.leg_context, greeting, server_side=True, chain_problem=client_refused)
        else:
            wrapped = OneProtocol(lambda: greeting)
            factory = TLSMemoryBIOFactory(tls.creator, False, wrapped, clock=self._hub.clock)
            session = factory.buildProtocol(self.transport.getPeer())
        hand_over(self.transport, session, data)

    def _stand_aside(self, session: ServerSession) -> None:
        """He is about to bring a leg: out of the crowd."""
        aside = self._reception.place_for_leg(session)
        if aside is not None and self._place is not None:
            self._place()
            self._place = aside

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone before the first byte."""
        self.leave()

    def leave(self) -> None:
        """He is known, or gone: his place is free and his deadline off. Harmless when called again."""
        place, self._place = self._place, None
        if place is not None:
            place()
            self._reception.gone(self)
        self.decided()

    def decided(self) -> None:
        """His deadline is off. One who is refused keeps his place until he is gone, or refusals would be free."""
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def turn_out(self) -> None:
        """Close at once, without an answer."""
        self.leave()
        self.transport.abortConnection()

    @property
    def refused(self) -> bool:
        """Whether others from his address have spoilt it for him meanwhile."""
        return self._reception.refusals.refuses(self.host)

    def proved(self) -> None:
        """His proof is right."""
        self._reception.refusals.proved(self.host)

    def accepted(self, client: str, authenticator: str, who: str) -> None:
        """An authenticator has let him in."""
        self._reception.log.info(
            "client {client} from {address} is let in by the authenticator {authenticator}{who}",
            client=client, address=self.address, authenticator=authenticator,
            who=Sentence(", as {who}", who=printable(who)) if who else "",
        )  # fmt: skip

    def charge(self, offence: Offence) -> None:
        """His address pays for what he did."""
        self._reception.refusals.charge(self.host, offence)

    def say(self, kind: str, words: str, **values: Any) -> None:
        """Log what he did; `words` may use {address}."""
        self._reception.say(kind, words, self.address, **values)

    def log_failure(self, failure: Failure) -> None:
        """A bug of ours, met while he was greeted."""
        self._reception.log.failure("greeting {address}", failure, address=self.address)

    def _late(self) -> None:
        self.say("late", "{address} did not prove itself in time and was closed")
        self.charge(Offence.NO_AUTH)
        self.turn_out()
