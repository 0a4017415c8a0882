"""Connects a client to its server through a WebSocket, inside TLS and through an HTTP proxy as configured."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, Event, RejectConnection, Request
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.config.wsoptions import WebSocketOptions
from gotunnel.errors import Sentence, printable
from gotunnel.interfaces import ITransportProvider
from gotunnel.net.carried import Carried
from gotunnel.net.endpoint import tcp_endpoint
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.reasons import words_of
from gotunnel.net.tls import TargetTls
from gotunnel.net.ws.proxy import Login, ProxiedEndpoint
from gotunnel.net.ws.stream import WsStream

__all__ = ["WebSocketTransport"]


@implementer(ITransportProvider)
class WebSocketTransport:
    """See ITransportProvider. Files are loaded when it is made, and again when they have changed. Raises
    GotunnelError."""

    def __init__(self, reactor: Any, options: WebSocketOptions) -> None:
        self._reactor = reactor
        self._options = options
        self._tls = TargetTls(options.ca, "client.transport")
        if options.tls and options.host is not None:
            self._tls.creator(options.host)
        elif options.tls and options.ca is not None:
            TargetTls(options.ca, "client.transport").creator("any")  # the name comes later; this checks the file
        self._login = None if options.proxy_login is None else Login(options.proxy_login)

    def endpoint(self, server: HostPort, address: HostPort, timeout: float) -> IStreamClientEndpoint:
        """See ITransportProvider."""
        options, proxy = self._options, self._options.proxy
        if proxy is None:
            below: IStreamClientEndpoint = tcp_endpoint(self._reactor, address, timeout)
        else:
            login = None if self._login is None else self._login.now()
            below = ProxiedEndpoint(
                self._reactor, tcp_endpoint(self._reactor, proxy, timeout), proxy, address, login, timeout
            )
        host = options.host or server.host
        creator = self._tls.creator(host) if options.tls else None
        return _WebSocketEndpoint(self._reactor, below, creator, host, server, options, timeout)


@implementer(IStreamClientEndpoint)
class _WebSocketEndpoint:
    """Connects through a WebSocket. `below` makes the network connection, `tls` is None for a WebSocket without TLS."""

    def __init__(
        self, reactor: Any, below: IStreamClientEndpoint, tls: IOpenSSLClientConnectionCreator | None, host: str,
        server: HostPort, options: WebSocketOptions, timeout: float,
    ) -> None:  # fmt: skip
        self._reactor, self._below, self._tls, self._options, self._timeout = reactor, below, tls, options, timeout
        named = f"[{host}]" if ":" in host else host
        default = 443 if options.tls else 80
        self._host = named if server.port == default else f"{named}:{server.port}"

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect and open the WebSocket. After the TCP connect, the rest must be done within the timeout."""
        client = _Client(self._reactor, factory, self._host, self._options)
        done: Deferred[IProtocol] = Deferred(lambda _: client.give_up())

        def failed(failure: Failure) -> None:
            if not done.called:
                done.errback(failure)

        own: IProtocolFactory = OneProtocol(lambda: client)
        if self._tls is not None:
            own = TLSMemoryBIOFactory(self._tls, True, own, clock=self._reactor)
            own.noisy = False
        connecting = self._below.connect(own)
        client.begin(done, connecting, self._timeout)
        connecting.addErrback(failed)
        return done


class _Client(WsStream):
    """The client's end of one WebSocket, from the request on."""

    def __init__(self, reactor: Any, factory: IProtocolFactory, host: str, options: WebSocketOptions) -> None:
        super().__init__(ConnectionType.CLIENT, reactor, options.ping)
        self._reactor = reactor
        self._factory = factory
        self._request = Request(host=host, target=options.path)
        self._done: Deferred[IProtocol]
        self._connecting: Deferred[Any]
        self._late: Any = None

    def begin(self, done: Deferred[IProtocol], connecting: Deferred[Any], timeout: float) -> None:
        """Start. `done` will fire when the WebSocket is open; `connecting` is the attempt in progress below."""
        self._done, self._connecting, self._timeout = done, connecting, timeout

    def give_up(self) -> None:
        """Abort the attempt: it was cancelled."""
        if self.transport is None:
            self._connecting.cancel()
        else:
            self.transport.abortConnection()

    def connectionMade(self) -> None:
        super().connectionMade()
        self._late = self._clock.callLater(self._timeout, self._fail, "no answer to the WebSocket's request in time")
        self.transport.write(self._socket.send(self._request))

    def _before(self, event: Event) -> None:
        if isinstance(event, AcceptConnection):
            self._accepted()
        elif isinstance(event, RejectConnection):
            self._fail(Sentence(
                "no WebSocket there: HTTP status {status_code}", status_code=event.status_code
            ))

    def _accepted(self) -> None:
        self._decided()
        peer, host = self.transport.getPeer(), self.transport.getHost()
        protocol = self._factory.buildProtocol(peer)
        if protocol is None:
            self._fail("not wanted any more")
            return
        try:
            carried = Carried(self._reactor, self, peer, host)
        except OSError as failed:
            self._fail(Sentence("no pair of sockets: {strerror}", strerror=failed.strerror), failed.errno)
            return
        self._carry(carried)
        carried.begin(protocol)
        done = self._done
        if not done.called:
            done.callback(protocol)

    def _breach(self, breach: Exception) -> None:
        if self._carried is None:
            self._fail(Sentence(
                "what answers there does not speak WebSocket: {breach}", breach=printable(str(breach), 128)
            ))
        else:
            super()._breach(breach)

    def _fail(self, reason: str, number: int | None = None) -> None:
        self._decided()
        self._leave()
        self.transport.abortConnection()
        if not self._done.called:
            self._done.errback(ConnectError(number, reason))

    def _decided(self) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._decided()
        super().connectionLost(reason)
        if not self._done.called:
            self._done.errback(
                Failure(CancelledError()) if self._carried is not None
                else Failure(ConnectError(None, Sentence(
                    "closed before the WebSocket was up: {reason}", reason=words_of(reason.value)
                )))
            )  # fmt: skip
