"""The control port: limits unauthenticated connections in number and time, and detects TLS.

The content of the connections is handled by the greeting.
"""

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
"""The number of connections per session that may use the server name of its legs at the same time, in addition to all
limits on unauthenticated connections. A client dials 24 reverse legs at a time."""
NO_TLS = b"\x15\x03\x03\x00\x02\x02\x46"
"""A fatal alert protocol_version (RFC 8446, sections 5.1 and 6.2)."""


Place = Callable[[], None]
"""The slot of an unauthenticated connection. Calling it, once, frees the slot."""


class Reception(ServerFactory):
    """Makes a Door for each connection, and limits how many are unauthenticated."""

    noisy = False
    log = Logger()

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.refusals = Refusals(hub.config.penalties, hub.clock, self.say)
        self._admission = Admission(hub.most_strangers, hub.config.limits.unauthenticated_per_address)
        self._doors: set[Door] = set()
        self._held: dict[Ticket, Door] = {}
        self._legs: Counter[ServerSession] = Counter()  # connections outside the limits, by the session of the leg

    def use(self, config: ServerConfig) -> None:
        """Apply a changed configuration, after the hub has updated its `most_strangers`."""
        self.refusals.use(config.penalties)
        self._admission.use(self.hub.most_strangers, config.limits.unauthenticated_per_address)

    @property
    def strangers(self) -> int:
        """The number of connections that have not authenticated yet."""
        return len(self._doors)

    def buildProtocol(self, addr: IAddress | None) -> Door | None:
        """Called by Twisted for each connection. Returning None closes it at once.

        If the address is refused, legs are still accepted if a client is connected from there or legs are expected: a
        client that shares an address with a guesser must not lose its visitors.
        """
        host = getattr(addr, "host", "unix")
        if not self.refusals.refuses(host):
            return Door(self)
        if self.hub.origins.live_at(host) or self.hub.legs_expected_from(host):
            return Door(self, legs_only=True)
        self.refusals.count(host)
        return None

    def admit(self, door: Door) -> Place:
        """Admit an unauthenticated connection; if there are too many, abort an older one (see Admission).

        Returns a function to call when the connection has authenticated or closed. If legs are expected from this
        address, that many connections are admitted above its limit.
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
        """Return a slot outside the limits for a connection that uses the server name of this session's legs.

        It cannot be displaced, however crowded its address is. Returns None if there are too many of these already.
        """
        if self._legs.get(session, 0) >= LEGS_AT_ONCE:
            return None
        self._legs[session] += 1
        return lambda: self._give_back_aside(session)

    def gone(self, door: Door) -> None:
        """Stop counting a connection that has authenticated or closed."""
        self._doors.discard(door)

    def _give_back(self, ticket: Ticket) -> None:
        self._admission.release(ticket)
        del self._held[ticket]

    def _give_back_aside(self, session: ServerSession) -> None:
        self._legs[session] -= 1
        if not self._legs[session]:
            del self._legs[session]

    def close_all(self) -> None:
        """Abort all unauthenticated connections, including those being refused."""
        for door in tuple(self._doors):
            door.turn_out()
        self.refusals.stop()

    def say(self, kind: str, words: str, address: str, **values: Any) -> None:
        """Log what an unauthenticated peer did, rate-limited."""
        more = self.hub.stranger_lines.more(kind, self.hub.clock.seconds())
        if more is not None:
            self.log.warn(words + "{more}", address=printable(address), more=more, **values)


class Door(Protocol):
    """One connection until its first bytes show what it is. Its deadline and slot then pass on to the greeting."""

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
        self._first = b""  # the beginning of a TLS connection whose server name is not complete yet
        self._told = False
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Start the deadline for authentication."""
        peer = self.transport.getPeer()
        self.host = getattr(peer, "host", "unix")
        self.source = source_of(self.host)
        self.address = str(HostPort(self.host, getattr(peer, "port", 0)))
        set_nodelay(self.transport.getHandle())
        self._place = self._reception.admit(self)
        # For connections through a proxy, part of the time has passed before their address was known.
        left = self._hub.config.handshake_timeout - getattr(self.transport, "waited", 0.0)
        self._deadline = self._hub.clock.callLater(max(0.0, left), self._late)

    def dataReceived(self, data: bytes) -> None:
        """Detect the protocol from the first bytes, and hand the connection over."""
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
        """Report the mismatch in the log and to the peer: a TLS client understands nothing but an alert."""
        self._told = True
        self.say(
            "tls_off",
            "{address} speaks TLS, but server.tls.mode is off: closed; both files must have the same tls.mode",
        )
        self.transport.write(NO_TLS)
        self.transport.loseConnection()

    def _route_tls(self, tls: ServerTls, data: bytes) -> None:
        """Start TLS.

        The server name distinguishes legs from control connections if they use different TLS libraries. A leg without
        the name works all the same.
        """
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
        """Move a connection that is about to become a leg out of the limits."""
        aside = self._reception.place_for_leg(session)
        if aside is not None and self._place is not None:
            self._place()
            self._place = aside

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection closed before it was identified."""
        self.leave()

    def leave(self) -> None:
        """Free the slot and cancel the deadline: it has authenticated or closed. Harmless when called again."""
        place, self._place = self._place, None
        if place is not None:
            place()
            self._reception.gone(self)
        self.decided()

    def decided(self) -> None:
        """Cancel the deadline. A refused connection keeps its slot until it closes, or refusals would cost nothing."""
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def turn_out(self) -> None:
        """Close at once, without an answer."""
        self.leave()
        self.transport.abortConnection()

    @property
    def refused(self) -> bool:
        """Whether its address is being refused by now, because of others."""
        return self._reception.refusals.refuses(self.host)

    def turned_down(self) -> None:
        """Count this connection as one that was refused because of its address."""
        self._reception.refusals.count(self.host)

    def proved(self) -> None:
        """Record that the peer has proved its identity."""
        self._reception.refusals.proved(self.host)

    def accepted(self, client: str, authenticator: str, who: str) -> None:
        """Log that an authenticator has admitted the client."""
        self._reception.log.info(
            "client {client} from {address} is let in by the authenticator {authenticator}{who}",
            client=client, address=self.address, authenticator=authenticator,
            who=Sentence(", as {who}", who=printable(who)) if who else "",
        )  # fmt: skip

    def charge(self, offence: Offence) -> None:
        """Charge its address for an offence."""
        self._reception.refusals.charge(self.host, offence)

    def say(self, kind: str, words: str, **values: Any) -> None:
        """Log what the peer did, rate-limited; `words` may use {address}."""
        self._reception.say(kind, words, self.address, **values)

    def log_failure(self, failure: Failure) -> None:
        """Log an internal error during the greeting."""
        self._reception.log.failure("greeting {address}", failure, address=self.address)

    def _late(self) -> None:
        self.say("late", "{address} did not prove itself in time and was closed")
        self.charge(Offence.NO_AUTH)
        self.turn_out()
