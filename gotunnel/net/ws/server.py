"""Accepts clients through WebSockets, and answers everything else with 404. Each connection passes the server's door as
soon as it is accepted, so the limits and deadlines for strangers apply to its HTTP request, too."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, Event, RejectConnection, RejectData, Request
from zope.interface import implementer

from gotunnel.address import HostPort, host_of, plain_address
from gotunnel.config.wsoptions import WebSocketListenerOptions
from gotunnel.interfaces import ISocketTaker, ITransportListener
from gotunnel.net.carried import Carried
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.listening import listen_failure
from gotunnel.net.port import GatedPort
from gotunnel.net.transports import raw_socket
from gotunnel.net.ws.certificate import ListenerCertificate
from gotunnel.net.ws.stream import WsStream

__all__ = ["WebSocketListener"]

BACKLOG, ACCEPTS_AT_ONCE = 1024, 64
PING = 25.0
"""Seconds. Devices on the path often drop a connection after a minute of silence."""
NOTHING = b"nothing here\n"


@implementer(ITransportListener, ISocketTaker)
class WebSocketListener:
    """See ITransportListener. Raises TlsFilesError."""

    def __init__(self, reactor: Any, options: WebSocketListenerOptions, descriptors: Descriptors) -> None:
        self.options = options
        self._reactor = reactor
        self._gate = descriptors.clients
        self._tls: ListenerCertificate | None = None
        if options.cert is not None and options.key is not None:
            self._tls = ListenerCertificate(reactor, options.cert, options.key)
        self.address = options.listen
        self._handed: socket.socket | None = None

    def take(self, listening: socket.socket) -> None:
        """See ISocketTaker."""
        self._handed = listening
        host, port = listening.getsockname()[:2]
        self.address = HostPort(host, port)

    def listen(self, door: IProtocolFactory, patience: float) -> GatedPort:
        """See ITransportListener."""
        factory: Any = _Visitors(self._reactor, self.options, door, patience)
        if self._tls is not None:
            factory = TLSMemoryBIOFactory(self._tls, False, factory, clock=self._reactor)
        host, port = self.address.host, self.address.port
        listening = _Port(port, factory, BACKLOG, host, self._reactor, self._gate, ACCEPTS_AT_ONCE, self._handed)
        listening.certificate = self._tls
        try:
            listening.startListening()
        except CannotListenError as failed:
            raise listen_failure(host, port, failed.socketError) from None
        if self._tls is not None:
            self._tls.start()
        self.address = HostPort(host, listening.getHost().port)
        return listening


class _Port(GatedPort):
    """Stops the watch over its certificate when it stops listening."""

    certificate: ListenerCertificate | None = None

    def stopListening(self, *reason: Any) -> Any:
        """Stop listening, for good."""
        if self.certificate is not None:
            self.certificate.stop()
        return super().stopListening(*reason)


class _Visitors(Factory):
    """Makes an _Arrival for each connection, after the door has accepted its address if that is known."""

    noisy = False

    def __init__(
        self, reactor: Any, options: WebSocketListenerOptions, door: IProtocolFactory, patience: float
    ) -> None:
        self.reactor, self.options, self.door, self.patience = reactor, options, door, patience
        self._trusted = [ipaddress.ip_network(each) for each in options.trust]

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Build the protocol of a connection. Returning None closes it at once."""
        host = getattr(addr, "host", None)
        trusted = host is not None and self.trusts(host)
        known = None if trusted or addr is None else self.door.buildProtocol(addr)
        if known is None and not trusted:
            return None
        return _Arrival(self, known)

    def trusts(self, host: str) -> bool:
        """Return whether this is the address of a trusted proxy."""
        address = plain_address(host)
        return address is not None and any(address in network for network in self._trusted)

    def origin(self, peer: Any, headers: list[tuple[bytes, bytes]]) -> Any:
        """Return the address of a client behind a trusted proxy: the last one in X-Forwarded-For that is not itself a
        trusted proxy's."""
        listed = b",".join(value for name, value in headers if name.lower() == b"x-forwarded-for")
        for word in reversed([each.strip() for each in listed.decode("ascii", "replace").split(",")]):
            address = plain_address(host_of(word))
            if address is None:
                break
            if not self.trusts(str(address)):
                return (IPv4Address if address.version == 4 else IPv6Address)("TCP", str(address), 0)
        return peer


class _Arrival(WsStream):
    """One connection. `door` is the protocol at the server's door, once the client's address is known."""

    def __init__(self, visitors: _Visitors, door: Any) -> None:
        super().__init__(ConnectionType.SERVER, visitors.reactor, PING)
        self._visitors = visitors
        self._door = door
        self._late: IDelayedCall | None = None
        self._since = 0.0

    def connectionMade(self) -> None:
        """Connect the door, if the client's address is known."""
        super().connectionMade()
        self._since = self._clock.seconds()
        if self._door is None:
            self._late = self._clock.callLater(self._visitors.patience, self.abortConnection)
        else:
            self._door.makeConnection(self)

    def _before(self, event: Event) -> None:
        if not isinstance(event, Request):
            return
        if event.target.partition("?")[0] != self._visitors.options.path:
            self._refuse(404)
            return
        peer = self.transport.getPeer()
        known = self._door is not None
        if not known:
            peer = self._visitors.origin(peer, event.extra_headers)
            self._door = self._visitors.door.buildProtocol(peer)
            if self._door is None:
                self.abortConnection()
                return
        try:
            carried = Carried(self._visitors.reactor, self, peer, self.transport.getHost())
        except OSError:
            self.abortConnection()
            return
        self._decided()
        self.transport.write(self._socket.send(AcceptConnection()))
        self._carry(carried)
        carried.begin(self._door, connected=known, waited=self._clock.seconds() - self._since)

    def _refuse(self, status: int) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(NOTHING)).encode())]
        self.transport.write(
            self._socket.send(RejectConnection(status_code=status, headers=headers, has_body=True))
            + self._socket.send(RejectData(data=NOTHING, body_finished=True))
        )
        self._leave()
        self._part()

    def _breach(self, breach: Exception) -> None:
        if self._carried is None and not self._gone:
            # A browser or a scanner: answer in HTTP, and nothing more.
            head = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            self.transport.write(head + b"content-length: %d\r\n\r\n" % len(NOTHING) + NOTHING)
            self._leave()
            self._part()
        else:
            super()._breach(breach)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has closed. If it never became a WebSocket, tell the door."""
        self._decided()
        before = self._carried is None
        super().connectionLost(reason)
        if before and self._door is not None:
            self._door.connectionLost(reason)

    def _decided(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    # The transport of the door, until the WebSocket is open.

    def getPeer(self) -> Any:
        """Return the other end's address."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """Return the address it connected to."""
        return self.transport.getHost()

    def getHandle(self) -> Any:
        """Return the socket."""
        return raw_socket(self.transport)

    def abortConnection(self) -> None:
        """Close at once."""
        self._decided()
        self.transport.abortConnection()
