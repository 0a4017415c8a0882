"""A protocol of this process, or a port of this machine, that takes datagrams is published: who has come, what travels
and how it ends, on both relays; and what is said of what cannot be."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gotunnel.api import ConfigError, PortUnavailable, Tunnel
from gotunnel.api.addresses import TunnelAddress
from gotunnel.api.datagrams import DatagramListener
from gotunnel.core.dropped import Drop
from gotunnel.core.outcome import Outcome
from gotunnel.errors import DialFailed
from gotunnel.net.portableflow import PortableFlow
from gotunnel.net.relay import PortableRelay
from gotunnel.wire.datagrams import MOST_DATAGRAM
from tests.integration.base import TOKEN
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


class Port:
    """A public port, as a listener knows it."""

    def __init__(self) -> None:
        self.stopped = 0

    def getHost(self) -> TunnelAddress:
        return TunnelAddress("here")

    def stopListening(self) -> Any:
        self.stopped += 1


class Held:
    """A session with a clock and a relay, and nothing else."""

    def __init__(self, reactor: Clock) -> None:
        self.reactor = reactor
        self.relay: Any = PortableRelay.__new__(PortableRelay)
        self.relay.flow = lambda *arguments: PortableFlow(reactor, *arguments)


class Leg:
    """Keeps what a flow gives it."""

    unfinished = False

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.lost = 0

    def local_data(self, data: bytes) -> None:
        self.got.append(data)

    def local_lost(self) -> None:
        self.lost += 1


class ListenerTests(SynchronousTestCase):
    """One listener between flows and a protocol, without a network."""

    def setUp(self) -> None:
        """Open it."""
        self.clock = Clock()
        self.service = Service()
        self.listener = DatagramListener(self.service, Held(self.clock))  # type: ignore[arg-type]
        self.listener.name = "dns"
        self.port = Port()
        self.listener.open(self.port)  # type: ignore[arg-type]
        self.drops: list[Drop] = []

    def flow(self, source: str = "192.0.2.1:5") -> tuple[Any, Leg]:
        """A visitor has come."""
        flow: Any = self.listener.arrive(source, 60.0, self.drops.append)
        leg = Leg()
        flow.attach(leg)
        flow.resume()
        return flow, leg

    def test_sooner_than_opened(self) -> None:
        """A visitor who is there before it is known that the port is open starts the protocol; it is started once. What
        he sends is given to it in the next turn, and not within the leg's own."""
        flow, leg = self.flow()
        transport = self.service.transport
        self.assertIsNot(transport, None)
        flow.write(b"one")
        flow.write(b"two")
        self.assertEqual(self.service.heard, [])
        self.listener.opened()
        self.assertIs(self.service.transport, transport)
        self.clock.advance(0)
        self.assertEqual(leg.got, [b"one", b"two"])
        self.assertEqual([source for _, source in self.service.heard], [("192.0.2.1", 5)] * 2)

    def test_two_addresses(self) -> None:
        """Who asks two addresses of the server from one port has two flows, and the answer takes that by which he has
        asked last; when one has ended the other goes on."""
        (one, first), (other, second) = self.flow(), self.flow()
        for flow in (one, other, one):
            flow.write(b"x")
            self.clock.advance(0)
        self.assertEqual((len(first.got), len(second.got)), (2, 1))
        one.lost()
        other.write(b"y")
        self.clock.advance(0)
        self.assertEqual(second.got, [b"x", b"y"])

    def test_to_nobody(self) -> None:
        """What is written to who has sent nothing, or whose flow has ended, goes nowhere, and the log says so once a
        minute; what cannot be written at all is Twisted's own error."""
        self.listener.opened()
        lines: list[str] = []
        self.patch(DatagramListener, "log", _Lines(lines))
        transport = self.service.transport
        flow, leg = self.flow()
        transport.write(b"hello", ("192.0.2.1", 5))
        self.assertEqual((leg.got, lines), ([b"hello"], []))
        flow.lost()
        for _ in range(3):
            transport.write(b"late", ("192.0.2.1", 5))
        self.assertEqual(lines, ["dns 192.0.2.1:5"])
        for address in (None, ("server.example", 5)):
            self.assertRaises(InvalidAddressError, transport.write, b"x", address)
        self.assertRaises(MessageLengthError, transport.write, bytes(MOST_DATAGRAM + 1), ("192.0.2.1", 5))
        self.assertRaises(RuntimeError, transport.connect, "192.0.2.1", 5)
        transport.setBroadcastAllowed(True)
        self.assertFalse(transport.getBroadcastAllowed())

    def test_closed(self) -> None:
        """When the port is closed every flow is ended, in the word for that; nothing that is on its way is given to a
        protocol that was stopped, and nobody new is let in. The transport does no harm then."""
        (one, leg), (other, _) = self.flow(), self.flow()
        transport = self.service.transport
        one.write(b"late")
        self.listener.close()
        self.listener.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.service.heard, self.service.transport), ([], None))
        self.assertEqual((one.why, other.why, leg.lost), ("closed", "closed", 1))
        self.assertRaises(DialFailed, self.flow)
        self.assertEqual(transport.getHost(), TunnelAddress("dns"))
        self.successResultOf(transport.stopListening())
        self.assertEqual(self.port.stopped, 0)

    def test_unlikely(self) -> None:
        """A server that does not say who has come, a relay without datagrams and a protocol that does not start let
        nobody in; and nothing can connect to see whether it is well."""
        with self.assertRaisesRegex(DialFailed, "does not say whose"):
            self.listener.arrive("somebody", 60.0, self.drops.append)
        self.service.startProtocol = _raise  # type: ignore[method-assign]
        with self.assertRaisesRegex(DialFailed, "has failed"):
            self.flow()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.listener._session.relay = object()  # type: ignore[misc]
        with self.assertRaisesRegex(DialFailed, "this relay carries no datagrams"):
            self.flow()
        self.failureResultOf(self.listener.look(Factory.forProtocol(Protocol)), DialFailed)


class RefusedTests(SynchronousTestCase):
    """Nothing connects."""

    def test_wrong(self) -> None:
        """One line each: what fits no datagrams, and a protocol that has a port."""
        tunnel = Tunnel("server.example", token=TOKEN, reactor=Clock())
        busy = DatagramProtocol()
        busy.transport = object()  # type: ignore[assignment]
        datagrams, streams = DatagramProtocol(), Factory.forProtocol(Protocol)
        for what, options, words in (
            (datagrams, {"protocol": "tcp"}, "protocol: is tcp, and a DatagramProtocol takes datagrams; remove it"),
            (datagrams, {"group": "g"}, "group: is for TCP: clients cannot share a port with protocol: udp; remove it"),
            (datagrams, {"idle": 0}, "idle: "),
            (datagrams, {"health": "tcp"}, "health: tcp probes a service by connecting to it, and this one takes data"),
            (datagrams, {"proxy_protocol": "v2"}, "proxy_protocol: goes ahead of a stream, which protocol: udp has no"),
            (busy, {}, "what: this DatagramProtocol has a port already; give each port a protocol of its own"),
            (streams, {"protocol": "udp"}, "what: what listens for connections takes no datagrams; give a "),
            (streams, {"idle": 5}, "idle: is for protocol: udp; add protocol: udp, or remove it"),
            ("unix:/run/x", {"protocol": "udp"}, "what: unix:/run/x takes no datagrams; write "),
            (8000, {"protocol": "sctp"}, "protocol: 'sctp' is not one of "),
        ):
            failure = self.failureResultOf(tunnel.expose(what, 0, **options), ConfigError)  # type: ignore[arg-type]
            said = str(failure.value)
            self.assertTrue(said.startswith(f"gotunnel: {words}"), said)
            self.assertNotIn("\n", said)


class Leaving(DatagramProtocol):
    """Closes its port with the first datagram."""

    noisy = False

    def __init__(self) -> None:
        self.left: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.left.append(datagram)
        self.transport.stopListening()


class _Lines:
    """Keeps the values of warnings."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def warn(self, format: str, *, mapping: str, visitor: str, more: str) -> None:
        self._lines.append(f"{mapping} {visitor}{more}")


def _raise(*_: object) -> None:
    raise RuntimeError("a protocol")
