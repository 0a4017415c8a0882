"""Connects to an IP address like Twisted's TCP4ClientEndpoint and TCP6ClientEndpoint, but without loading the module of
all endpoints, and with nothing between transport and protocol after the connect."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError, NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.net.sockets import is_itself, spare_pacing_at

__all__ = ["IpEndpoint"]


@implementer(IStreamClientEndpoint)
class IpEndpoint:
    """One address. `timeout` is in seconds."""

    def __init__(self, reactor: Any, host: str, port: int, timeout: float) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        attempt = _Attempt(protocolFactory, self._host)
        try:
            self._reactor.connectTCP(self._host, self._port, attempt, timeout=self._timeout)
        except Exception:  # noqa: BLE001 - an error of the system here is a failed attempt like any other
            return fail()
        return attempt.connected


class _Attempt(ClientFactory):
    """One attempt to connect. `connected` fires with the protocol, or fails."""

    def __init__(self, factory: IProtocolFactory, host: str) -> None:
        self.connected: Deferred[IProtocol] = Deferred(self._cancel)
        self._factory = factory
        self._host = host
        self._connector: Any = None

    def _cancel(self, connected: Deferred[IProtocol]) -> None:
        connected.errback(ConnectingCancelledError(self._connector.getDestination()))
        self._connector.stopConnecting()

    def doStart(self) -> None:
        """Called by Twisted before the attempt."""
        self._factory.doStart()

    def doStop(self) -> None:
        """Called by Twisted when the connection or the attempt has ended."""
        self._factory.doStop()

    def startedConnecting(self, connector: IConnector) -> None:
        """Called by Twisted with the connector, before its socket, if any, connects."""
        self._connector = connector
        sock = _socket_of(connector)
        if sock is not None:
            spare_pacing_at(sock, self._host)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Called by Twisted when the connection is made. Returning None closes it."""
        sock = _socket_of(self._connector)
        if sock is not None and is_itself(sock):
            self._connector.transport.abortConnection()  # an orderly close would hold the port for a minute
            self.connected.errback(ConnectionRefusedError())
            return None
        try:
            protocol = self._factory.buildProtocol(addr)  # type: ignore[arg-type]
            if protocol is None:
                raise NoProtocol
        except Exception:  # noqa: BLE001 - the caller of `connect` gets it
            self.connected.errback(Failure())
            return None
        return _First(protocol, self.connected)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Called by Twisted, also for a cancelled attempt."""
        self._connector = None
        if not self.connected.called:
            self.connected.errback(reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """Called by Twisted when the connection is lost. Break the cycle of transport, connector and attempt: otherwise
        they, and what the transport holds, would wait for the garbage collection."""
        self._connector = None
        connector.transport = None  # type: ignore[attr-defined]


def _socket_of(connector: Any) -> Any:
    return getattr(getattr(connector, "transport", None), "socket", None)


class _First(Protocol):
    """Takes the place of the protocol at first, hands it the transport, and drops out. Some transports keep a reference
    to their first protocol: for these it passes events on."""

    def __init__(self, protocol: IProtocol, connected: Deferred[IProtocol]) -> None:
        self._protocol = protocol
        self._connected = connected

    def logPrefix(self) -> str:
        """Called by Twisted first, to name the transport in its log."""
        return type(self._protocol).__name__

    def makeConnection(self, transport: Any) -> None:
        """Called by Twisted: pass the transport on, then report the protocol to the caller of `connect`."""
        transport.protocol = self._protocol
        self._protocol.makeConnection(transport)
        self._connected.callback(self._protocol)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._protocol.connectionLost(reason)
