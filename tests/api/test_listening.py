"""A factory of this process listens on a public server: addresses, bytes, endings, back-pressure, on both relays."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from twisted.internet import ssl
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort, ITCPTransport
from twisted.internet.protocol import Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gotunnel.config.model import TlsServerConfig
from gotunnel.core.outcome import Outcome
from tests.api.base import ApiTestCase, Service
from tests.certificates import Authority
from tests.integration.base import Echo, Peer


@implementer(IHalfCloseableProtocol)
class HalfCloser(Peer):
    """Answers with the length of what came, once that has ended."""

    def readConnectionLost(self) -> None:
        self.transport.write(f"{len(self.received)} bytes".encode())
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing follows from it."""


class Listening:
    """The tests; a subclass says on which relay."""

    relay: str

    async def test_addresses(self: Any) -> None:
        """The port and each connection say where on the server it is, and who has come; nothing listens here."""
        server = await self.server()
        service = Service()
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        verifyObject(IListeningPort, port)
        visitor = await self.echoes(port.address.port)
        (protocol,) = service.made
        ours = visitor.transport.getHost()
        verifyObject(ITCPTransport, protocol.transport)
        self.assertEqual((protocol.transport.getPeer(), service.addresses), (ours, [ours]))
        self.assertEqual(protocol.transport.getHost(), visitor.transport.getPeer())
        self.assertEqual(port.getHost(), visitor.transport.getPeer())
        self.assertEqual(service.started, 1)
        visitor.hang_up()
        await port.stopListening()
        self.assertEqual(service.started, 0)

    async def test_bytes_and_back_pressure(self: Any) -> None:
        """24 MB arrive byte-exact although the service reads nothing for a while and the visitor is held back."""
        server = await self.server()
        service = Service(Paused)
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.visitor(port)
        data = os.urandom(1 << 20) * 24
        visitor.transport.write(data)
        await self.until(lambda: service.made, "the visitor has come")
        await self.pause(0.2)
        (protocol,) = service.made
        self.assertEqual(protocol.count, 0)
        self.assertGreater(len(visitor.transport.dataBuffer) + visitor.transport._tempDataLen, 0)
        protocol.transport.resumeProducing()
        await self.until(lambda: protocol.count == len(data), f"all has come, and not {protocol.count}")
        self.assertEqual(protocol.digest.digest(), hashlib.sha256(data).digest())

    async def test_producer(self: Any) -> None:
        """A producer of the service is paused while the visitor takes nothing, and goes on when he does."""
        server = await self.server()
        service = Service(Producing)
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.visitor(port)
        visitor.transport.pauseProducing()
        await self.until(lambda: service.made and service.made[0].paused, "the producer is paused")
        visitor.transport.resumeProducing()
        await self.until(lambda: visitor.ended, "all has come")
        self.assertEqual(len(visitor.received), Producing.TOTAL)
        self.assertTrue(visitor.ended.check(ConnectionDone))

    async def test_half_close(self: Any) -> None:
        """Who ends his direction has the answer yet."""
        server = await self.server()
        port = await self.tunnel(server).expose(Service(HalfCloser), "127.0.0.1:0")
        visitor = HalfCloserVisitor()
        await self.join(visitor, port.address.port)
        visitor.transport.write(b"x" * 1000)
        visitor.transport.loseWriteConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual(visitor.received, b"1000 bytes")
        self.assertTrue(visitor.ended.check(ConnectionDone))
        await self.until(lambda: server.hub.outcomes == {Outcome.COMPLETED: 1}, "the outcome")

    async def test_closed_in_order(self: Any) -> None:
        """A service that closes ends its visitor in order; and a visitor who closes the service."""
        server = await self.server()
        service = Service()
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        service.made[0].transport.write(b"bye")
        service.made[0].transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertTrue(visitor.ended.check(ConnectionDone))
        self.assertEqual(visitor.received, b"hellobye")
        other = await self.echoes(port.address.port)
        other.transport.loseConnection()
        await self.until(lambda: service.made[1].ended, "the end")
        self.assertTrue(service.made[1].ended.check(ConnectionDone))

    async def test_aborted(self: Any) -> None:
        """abortConnection of a service resets its visitor; the server counts a reset."""
        server = await self.server()
        service = Service()
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        service.made[0].transport.abortConnection()
        await self.until(lambda: visitor.ended and service.made[0].ended, "the end")
        self.assertTrue(visitor.was_reset)
        self.assertTrue(service.made[0].ended.check(ConnectionAborted))
        await self.until(lambda: server.hub.outcomes == {Outcome.RESET_BY_TARGET: 1}, "the outcome")

    async def test_raised(self: Any) -> None:
        """A protocol that raises resets its visitor, who must not take half an answer for a whole one."""
        server = await self.server()
        service = Service(Raising)
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.visitor(port)
        visitor.transport.write(b"x")
        await self.until(lambda: visitor.ended, "the end")
        self.assertTrue(visitor.was_reset)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_reset_by_visitor(self: Any) -> None:
        """A visitor's reset is a lost connection for the service, and not the end of a stream."""
        server = await self.server()
        service = Service()
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        visitor.transport.abortConnection()
        await self.until(lambda: service.made[0].ended, "the end")
        self.assertTrue(service.made[0].ended.check(ConnectionLost))

    async def test_refusing_factory(self: Any) -> None:
        """A factory that takes nobody, or fails, resets him."""
        server = await self.server()
        for make, errors in ((lambda: None, 0), (_fail, 1)):
            port = await self.tunnel(server).expose(Service(make), "127.0.0.1:0")
            visitor = await self.visitor(port)
            await self.until(lambda visitor=visitor: visitor.ended, "the end")
            self.assertTrue(visitor.was_reset)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), errors)


class PortableTests(Listening, ApiTestCase):
    """On Twisted's transports."""

    relay = "portable"


class FastTests(Listening, ApiTestCase):
    """On the fast relay."""

    relay = "fast"


class FastPlainTests(Listening, ApiTestCase):
    """Likewise outside of TLS, where large streams are spliced."""

    relay = "fast"

    async def server(self, **config: Any) -> Any:
        return await super().server(tls=TlsServerConfig(mode="off"), **config)

    def tunnel(self, server: Any, **options: Any) -> Any:
        return super().tunnel(server, tls=False, **options)


class TlsTests(ApiTestCase):
    """What a service does to its transport."""

    async def test_start_tls(self) -> None:
        """TLS can begin in the midst of a connection, at a listener and at one who dials."""
        authority = Authority(self.folder)
        certificate, key = authority.issue("service")
        context = ssl.DefaultOpenSSLContextFactory(str(key), str(certificate))
        server = await self.server(allow_dial=["127.0.0.1:1-65535"])
        tunnel = self.tunnel(server)
        service = Service(lambda: Starting(lambda transport: transport.startTLS(context)))
        port = await tunnel.expose(service, "127.0.0.1:0")
        asking = Service(lambda: Starting(lambda transport: transport.startTLS(ssl.CertificateOptions())))
        protocol: Any = await tunnel.dial(f"127.0.0.1:{port.address.port}", asking)
        protocol.transport.write(b"START")
        await self.until(lambda: b"in TLS" in protocol.received, "the answer")
        self.assertEqual(service.made[0].received, b"STARTin TLS")
        protocol.transport.loseConnection()
        await self.until(lambda: protocol.ended and service.made[0].ended, "the end")

    async def test_options(self) -> None:
        """Options of TCP are what they were set to; a unix socket has none."""
        server = await self.server()
        service = Service()
        port = await self.tunnel(server).expose(service, "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        transport = service.made[0].transport
        self.assertTrue(transport.getTcpNoDelay() and transport.getTcpKeepAlive())
        transport.setTcpNoDelay(False)
        transport.setTcpKeepAlive(0)
        self.assertFalse(transport.getTcpNoDelay() or transport.getTcpKeepAlive())
        visitor.hang_up()


class Starting(Peer):
    """Begins TLS at the word, which it sends back, and says the next thing inside."""

    def __init__(self, start: Any) -> None:
        super().__init__()
        self.start = start

    def dataReceived(self, data: bytes) -> None:
        first = not self.received
        self.received += data
        if first:
            if self.transport._tlsClientDefault:
                self.start(self.transport)
                self.transport.write(b"in TLS")
            else:
                self.transport.write(b"START")
                self.start(self.transport)
        elif not self.transport._tlsClientDefault:
            self.transport.write(b"in TLS")


class Paused(Peer):
    """Reads nothing before it is told to; keeps a digest of what it reads."""

    def connectionMade(self) -> None:
        self.count, self.digest = 0, hashlib.sha256()
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        self.digest.update(data)


class Producing(Peer):
    """Sends 8 MB as fast as it may, and closes."""

    TOTAL = 8 << 20

    def connectionMade(self) -> None:
        self.left = self.TOTAL
        self.paused = False
        self._on = False
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._on = True
        while self._on and self.left:
            self.left -= 1 << 16
            self.transport.write(bytes(1 << 16))
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        self.paused = True
        self._on = False

    def stopProducing(self) -> None:
        self._on = False


class Raising(Echo):
    """Breaks down."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"half an ans")
        raise RuntimeError("broken")


@implementer(IHalfCloseableProtocol)
class HalfCloserVisitor(Peer):
    """A visitor who hears of the end of each direction."""

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """He waits for the answer."""


def _fail() -> Protocol:
    raise RuntimeError("broken")
