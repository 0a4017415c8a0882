"""Publishes a datagram protocol of this process. Each visitor is a flow whose outlet is here; no visitor has a socket.
What a flow is and when it ends: see `gotunnel.net.flow`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from gotunnel.address import is_ip, parse_host_port
from gotunnel.api.addresses import TunnelAddress
from gotunnel.api.port import PublicPort
from gotunnel.api.session import Session
from gotunnel.api.settings import refused_option
from gotunnel.core.dropped import Drop, drop_lines
from gotunnel.core.stream import CLOSED
from gotunnel.errors import DialFailed, printable
from gotunnel.interfaces import IDatagramRelay, ILocal
from gotunnel.logs import Logger
from gotunnel.wire.datagrams import MOST_DATAGRAM

__all__ = ["DatagramListener", "DatagramTransport"]

_Source = tuple[str, int]


class DatagramListener:
    """Passes the datagrams of the mapping `name` to a protocol, and the protocol's datagrams to their flows. It serves
    from `open` to `close`. The protocol is started when the port is open, or with the first visitor if that comes
    earlier."""

    log = Logger()

    def __init__(self, protocol: DatagramProtocol, session: Session) -> None:
        """Raises ConfigError for a protocol that already has a port: it could not tell which port to answer through."""
        if protocol.transport is not None:
            cure = "give each port a protocol of its own"
            raise refused_option("what", "this DatagramProtocol has a port already", cure)
        self.name = ""
        self._protocol = protocol
        self._session = session
        self._port: PublicPort | None = None
        self._started = False
        self._outlets: set[_Outlet] = set()
        self._flows: dict[_Source, _Outlet] = {}  # the flow through which a source is answered
        self._inbox: list[tuple[_Outlet, bytes]] = []
        self._due: IDelayedCall | None = None
        self._lines = drop_lines()

    def open(self, port: PublicPort) -> None:
        """The port is about to open."""
        self._port = port

    def opened(self) -> None:
        """The port is open. Raises what the protocol raises when it is started."""
        self._start()

    def close(self) -> None:
        """The port is closed. Ends all flows, because nothing else would end them. Harmless when called again."""
        self._port = None
        if self._due is not None:
            self._due.cancel()
            self._due = None
        for outlet in tuple(self._outlets):
            outlet.flow.end(CLOSED)
        if self._started:
            self._started = False
            self._protocol.doStop()

    def arrive(self, source: str, idle: float, dropped: Callable[[Drop], None]) -> ILocal:
        """See InProcess."""
        if self._port is None:
            raise DialFailed("refused", "the port is closed")
        relay = self._session.relay
        if not IDatagramRelay.providedBy(relay):
            raise DialFailed("failed", "this relay carries no datagrams")
        try:
            visitor = parse_host_port(source)
        except ValueError:
            raise DialFailed("failed", "the server does not say whose datagrams they are") from None
        try:
            self._start()
        except Exception:  # noqa: BLE001 - whatever the program's code raises
            self.log.failure("a protocol of datagrams in this process, when it was started")
            raise DialFailed("failed", "the protocol of the listener failed") from None
        outlet = _Outlet(self, (visitor.host, visitor.port))
        outlet.flow = flow = relay.flow(outlet, idle, source, visitor.host, "", dropped, True)
        self._outlets.add(outlet)
        self._flows[outlet.source] = outlet
        return flow

    def look(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See InProcess. Always fails, since this target takes no connections."""
        return fail(DialFailed("failed", "this target takes datagrams, and no connections"))

    # For the transport:

    def host(self) -> IPv4Address | IPv6Address | TunnelAddress:
        """Return the public address."""
        if self._port is None:
            return TunnelAddress(self.name)
        return self._port.getHost()

    def stop(self) -> Deferred[None]:
        """Close the port."""
        return succeed(None) if self._port is None else self._port.stopListening()

    def write(self, datagram: bytes, source: _Source) -> None:
        """Send a datagram to a source that has sent one."""
        outlet = self._flows.get(source)
        if outlet is not None:
            outlet.flow.arrived(datagram)
            return
        more = self._lines.more(self.name, self._session.reactor.seconds())
        if more is not None:
            self.log.warn(
                "an answer of mapping {mapping} to {visitor} is dropped: nothing has come from there, or not for "
                "the idle time of a flow{more}",
                mapping=self.name, visitor=printable(f"{source[0]}:{source[1]}"), more=more,
            )  # fmt: skip

    # For the outlets:

    def ended(self, outlet: _Outlet) -> None:
        """Forget an outlet whose flow has ended."""
        self._outlets.discard(outlet)
        if self._flows.get(outlet.source) is outlet:
            del self._flows[outlet.source]

    def take(self, outlet: _Outlet, datagram: bytes) -> None:
        """Deliver a datagram in the next turn of the reactor. The leg that brings it is still at work, and the protocol
        may do anything, such as answer at once through the same leg."""
        self._inbox.append((outlet, datagram))
        if self._due is None:
            self._due = self._session.reactor.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._due = None
        inbox, self._inbox = self._inbox, []
        for outlet, datagram in inbox:
            if not self._started:
                return
            if outlet in self._outlets:
                self._flows[outlet.source] = outlet  # one source may use two addresses of the server, with a flow each
            try:
                self._protocol.datagramReceived(datagram, outlet.source)
            except Exception:  # noqa: BLE001 - as with a Twisted port, one datagram does not end the others
                self.log.failure("a protocol of datagrams in this process")

    def _start(self) -> None:
        if self._started or self._port is None:
            return
        try:
            self._protocol.makeConnection(DatagramTransport(self))
        except BaseException:
            self._protocol.transport = None
            raise
        self._started = True


class _Outlet:
    """Where the datagrams of one flow go."""

    __slots__ = ("_listener", "flow", "source")

    flow: Any

    def __init__(self, listener: DatagramListener, source: _Source) -> None:
        self._listener = listener
        self.source = source

    def send(self, datagram: bytes) -> None:
        """See Outlet."""
        self._listener.take(self, datagram)

    def close(self) -> None:
        """See Outlet."""
        self._listener.ended(self)


@implementer(IUDPTransport)
class DatagramTransport:
    """The protocol's transport, like that of a Twisted port. It can only answer: the server sends nothing to an address
    that has not sent something itself."""

    def __init__(self, listener: DatagramListener) -> None:
        self._listener = listener

    def write(self, packet: bytes, addr: _Source | None = None) -> None:
        """See IUDPTransport. `addr` must be an address that has sent something. Raises MessageLengthError if the packet
        is longer than a datagram can be."""
        if addr is None or not is_ip(addr[0]):
            raise InvalidAddressError(None if addr is None else addr[0], "write() takes the address of a visitor")
        if len(packet) > MOST_DATAGRAM:
            raise MessageLengthError("message too long")
        self._listener.write(bytes(packet), (addr[0], addr[1]))

    def connect(self, host: str, port: int) -> None:
        """See IUDPTransport. A public port has many visitors. Raises RuntimeError."""
        raise RuntimeError("a public port cannot be connected to one address: whoever sends to it is heard")

    def getHost(self) -> IPv4Address | IPv6Address | TunnelAddress:  # type: ignore[override]
        """See PublicPort. There is no IP address before the server was reached."""
        return self._listener.host()

    def stopListening(self) -> Deferred[None]:
        """See PublicPort."""
        return self._listener.stop()

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """See IUDPTransport. Broadcasts are never carried."""

    def getBroadcastAllowed(self) -> bool:
        """See IUDPTransport."""
        return False
