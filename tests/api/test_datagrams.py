"""A protocol of this process, or a port of this machine, that takes datagrams is published: who has come, what travels
and how it ends, on both relays."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface.verify import verifyObject

from gotunnel.api import PortUnavailable
from gotunnel.core.outcome import Outcome
from gotunnel.wire.datagrams import MOST_DATAGRAM
from tests.integration.udp import HOST, Service, UdpTestCase

from .base import ApiTestCase


class Counting(Service):
    """An echo that knows when it was started and where, and when it was stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[Any] = []
        self.stopped = 0

    def startProtocol(self) -> None:
        self.hosts.append(self.transport.getHost())

    def stopProtocol(self) -> None:
        self.stopped += 1


class Publishing:
    """The tests; a subclass says on which relay."""

    relay: str

    async def test_here(self: Any) -> None:
        """A protocol gets datagrams of all sizes from each visitor's own address, and its answers reach him and no
        other. It is started when its port is open, and stopped when that is closed; then its flows have ended."""
        server = await self.udp_server()
        service = Counting()
        port = await self.tunnel(server, name="edge").expose(service, f"{HOST}:0", mapping="dns", idle=5)
        verifyObject(IListeningPort, port)
        verifyObject(IUDPTransport, service.transport)
        number = port.address.port
        self.assertEqual(port.getHost(), IPv4Address("UDP", HOST, number))
        self.assertEqual(service.hosts, [port.getHost()])
        one, other = self.asker(), self.asker()
        for size in (1, 1472, 16_384, MOST_DATAGRAM):
            content = os.urandom(size)
            self.assertEqual(await self.ask(one, content, number), content)
        self.assertEqual(await self.ask(other, b"other", number), b"other")
        self.assertEqual(other.got, [b"other"])
        mine, his = ((HOST, each.transport.getHost().port) for each in (one, other))
        self.assertEqual([source for _, source in service.heard], [mine] * 4 + [his])
        service.transport.write(b"unasked", his)
        await self.until(lambda: other.got[-1] == b"unasked", "what was said to him by himself")
        self.assertEqual((self.port(server).flows.idle, server.hub.live), (5.0, 2))
        await port.stopListening()
        self.assertEqual((service.stopped, service.transport, len(service.hosts)), (1, None, 1))
        await self.until(lambda: not server.hub.live, "the flows have ended")
        self.assertEqual(server.hub.outcomes, {Outcome.STOPPED: 2})

    async def test_bug(self: Any) -> None:
        """A protocol that raises loses that datagram and no other one, and the log has its trace."""
        server = await self.udp_server()
        service = Counting()
        port = await self.tunnel(server).expose(service, f"{HOST}:0")
        heard, service.datagramReceived = service.datagramReceived, _raise  # type: ignore[method-assign]
        asker = self.asker()
        asker.transport.write(b"one", (HOST, port.address.port))
        await self.said("a protocol of datagrams in this process")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        service.datagramReceived = heard  # type: ignore[method-assign]
        self.assertEqual(await self.ask(asker, b"two", port.address.port), b"two")
        self.assertEqual(server.hub.live, 1)

    async def test_target(self: Any) -> None:
        """A port of this machine that takes datagrams is published as a file would have it; one of TCP to the same
        number has another name by itself."""
        server = await self.udp_server()
        number, service = self.service()
        tunnel = self.tunnel(server)
        port = await tunnel.expose(number, 0, protocol="udp")
        self.assertEqual(await self.ask(self.asker(), b"hello", port.address.port), b"hello")
        self.assertEqual(port.getHost().type, "UDP")
        self.assertEqual(len(service.heard), 1)
        stream = await tunnel.expose(number, 0)
        self.assertEqual((stream.name, stream.getHost().type), (f"{port.name}-2", "TCP"))

    async def test_from_within(self: Any) -> None:
        """The protocol may close its own port, in the midst of what has come."""
        server = await self.udp_server()
        service = Leaving()
        tunnel = self.tunnel(server)
        port = await tunnel.expose(service, f"{HOST}:0")
        asker = self.asker()
        for _ in range(3):
            asker.transport.write(b"bye", (HOST, port.address.port))
        await self.until(lambda: service.left, "it has left")
        await self.until(lambda: not tunnel.ports, "the port is closed")
        self.assertEqual(service.transport, None)

    async def test_refused(self: Any) -> None:
        """A server that allows no ports of UDP refuses it with its words, and the protocol was never started."""
        server = await self.server()
        service = Counting()
        with self.assertRaises(PortUnavailable) as caught:
            await self.tunnel(server).expose(service, f"{HOST}:0")
        self.assertEqual(caught.exception.code, "acl_denied")
        self.assertEqual((service.hosts, service.stopped, service.transport), ([], 0, None))

    async def test_not_started(self: Any) -> None:
        """A protocol that does not start is the program's own error, and leaves no port; it can be given another."""
        server = await self.udp_server()
        service = Counting()
        tunnel = self.tunnel(server)
        service.startProtocol = _raise  # type: ignore[method-assign]
        with self.assertRaises(RuntimeError):
            await tunnel.expose(service, f"{HOST}:0")
        self.assertEqual((tunnel.ports, service.transport, service.stopped), ((), None, 0))
        del service.startProtocol  # type: ignore[method-assign]
        port = await tunnel.expose(service, f"{HOST}:0")
        self.assertEqual(await self.ask(self.asker(), b"hello", port.address.port), b"hello")


class PortablePublishingTests(Publishing, UdpTestCase, ApiTestCase):
    """On Twisted's transports."""

    relay = "portable"


class FastPublishingTests(Publishing, UdpTestCase, ApiTestCase):
    """On descriptors."""

    relay = "fast"


class Leaving(DatagramProtocol):
    """Closes its port with the first datagram."""

    noisy = False

    def __init__(self) -> None:
        self.left: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.left.append(datagram)
        self.transport.stopListening()


def _raise(*_: object) -> None:
    raise RuntimeError("a protocol")
