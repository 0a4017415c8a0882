"""An address is connected to as Twisted's own endpoint does it, which is asked the same here."""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError, NoProtocol, TimeoutError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.net import ipendpoint, sockets
from gotunnel.net.endpoint import tcp_endpoint
from gotunnel.net.ipendpoint import IpEndpoint
from tests.ports import free_port

reactor: Any = _reactor
KINDS = (IpEndpoint, TCP4ClientEndpoint)
TCP_CLOSE = 7
"""The state of a socket that is not connected yet (linux/tcp_states.h)."""


@implementer(IHalfCloseableProtocol)
class _Caller(Protocol):
    """Notes what becomes of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.seen.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.seen.append(data.decode())

    def readConnectionLost(self) -> None:
        self.seen.append("no more")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        self.seen.append("sent all")

    def connectionLost(self, reason: Any) -> None:
        self.seen.append("lost")
        self.over.callback(None)


class _Host(Protocol):
    """Greets, and sends no more."""

    def connectionMade(self) -> None:
        self.transport.write(b"hello")
        self.transport.loseWriteConnection()


class ConnectTests(TestCase):
    """On real sockets."""

    async def test_connects(self) -> None:
        """Who asked gets the protocol once it knows its transport, and that speaks to the protocol itself: also about
        the end of one direction."""
        for interface in ("127.0.0.1", "::1"):
            port = reactor.listenTCP(0, Factory.forProtocol(_Host), interface=interface)
            self.addCleanup(port.stopListening)
            factory, stopped = Factory.forProtocol(_Caller), Deferred[None]()
            factory.stopFactory = partial(stopped.callback, None)  # type: ignore[method-assign]
            made: Any = await IpEndpoint(reactor, interface, port.getHost().port, 5).connect(factory)
            self.assertEqual((made.seen[:1], made.transport.getPeer().host), (["made"], interface))
            self.assertIs(made.transport.protocol, made)
            await made.over
            self.assertEqual(made.seen, ["made", "hello", "no more", "lost"])
            await stopped

    @skipUnless(sys.platform.startswith("linux"), "congestion controls have names on Linux")
    async def test_not_paced(self) -> None:
        """On loopback nobody is paced by BBR, from the start: its timers would stay."""
        self.patch(sockets, "_paces", lambda: True)
        asked: list[tuple[Any, bytes]] = []
        spare = ipendpoint.spare_pacing_at

        def noted(sock: socket.socket, host: str) -> None:
            spare(sock, host)
            state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            asked.append((state, sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 5)))

        self.patch(ipendpoint, "spare_pacing_at", noted)
        port = reactor.listenTCP(0, Factory.forProtocol(_Host), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        made: Any = await IpEndpoint(reactor, "127.0.0.1", port.getHost().port, 5).connect(Factory.forProtocol(_Caller))
        self.assertEqual(asked, [(TCP_CLOSE, b"reno\0")])
        await made.over

    async def test_refused(self) -> None:
        """Nobody listens."""
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        with self.assertRaises(ConnectionRefusedError):
            await IpEndpoint(reactor, "127.0.0.1", number, 5).connect(Factory.forProtocol(_Caller))

    async def test_itself(self) -> None:
        """Nobody listens, and the system chooses the very port to connect from."""
        number = free_port(self)
        connect = reactor.connectTCP

        def connect_from_it(host: str, port: int, factory: Any, timeout: float, bindAddress: Any = None) -> Any:
            return connect(host, port, factory, timeout, (host, port))

        self.patch(reactor, "connectTCP", connect_from_it)
        for host in ("127.0.0.1", "localhost"):
            with self.assertRaises(ConnectionRefusedError):
                await tcp_endpoint(reactor, HostPort(host, number), 5).connect(Factory.forProtocol(_Caller))
            await deferLater(reactor, 0)  # it closes in the next turn
        with socket.socket() as service:
            service.bind(("127.0.0.1", number))  # it may begin

    async def test_no_protocol(self) -> None:
        """A factory that makes none, or fails, is told of; the connection closes."""
        port = reactor.listenTCP(0, Factory.forProtocol(_Host), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        for build, error in ((lambda addr: None, NoProtocol), (lambda addr: 1 // 0, ZeroDivisionError)):
            factory = Factory()
            factory.buildProtocol = build  # type: ignore[method-assign,assignment]
            with self.assertRaises(error):
                await IpEndpoint(reactor, "127.0.0.1", port.getHost().port, 5).connect(factory)


class AttemptTests(SynchronousTestCase):
    """On a reactor without sockets: the same as Twisted's."""

    def attempt(self, kind: Any) -> tuple[Any, Any, Any]:
        """Begin to connect; return the Deferred, and what the reactor was given."""
        memory = MemoryReactorClock()
        connecting = kind(memory, "192.0.2.1", 80, 7).connect(Factory.forProtocol(_Caller))
        ((host, port, factory, timeout, bind),), (connector,) = memory.tcpClients, memory.connectors
        self.assertEqual((host, port, timeout, bind), ("192.0.2.1", 80, 7, None))
        return connecting, factory, connector

    def test_cancelled(self) -> None:
        """Giving up stops the attempt; that it has stopped is no second failure."""
        for kind in KINDS:
            connecting, factory, connector = self.attempt(kind)
            connecting.cancel()
            self.failureResultOf(connecting, ConnectingCancelledError)
            self.assertTrue(connector.stoppedConnecting)
            factory.clientConnectionFailed(connector, self.fail)

    def test_timed_out(self) -> None:
        """Whatever the reason is."""
        for kind in KINDS:
            connecting, factory, connector = self.attempt(kind)
            factory.clientConnectionFailed(connector, TimeoutError())
            self.failureResultOf(connecting, TimeoutError)

    def test_not_even_begun(self) -> None:
        """What the system has against a socket fails the Deferred, and is not raised."""
        for kind in KINDS:
            memory = MemoryReactorClock()
            memory.connectTCP = lambda *words, **keys: 1 // 0  # type: ignore[method-assign]
            self.failureResultOf(kind(memory, "192.0.2.1", 80, 7).connect(Factory()), ZeroDivisionError)
