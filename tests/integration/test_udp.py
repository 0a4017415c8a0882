"""Mappings of datagrams, whole: real sockets, a real client and a real server, on both relays."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from gotunnel.client.published import Standing
from gotunnel.client.service import ClientService
from gotunnel.core.dropped import Drop
from gotunnel.core.outcome import Outcome
from gotunnel.server.service import ServerService
from gotunnel.server.udpport import UdpPort
from gotunnel.wire.datagrams import MOST_DATAGRAM

from .base import IntegrationTestCase, reactor

HOST = "127.0.0.1"


class Service(DatagramProtocol):
    """A service that sends every datagram back, unless it is told to say nothing."""

    noisy = False

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Any]] = []
        self.silent = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.heard.append((datagram, addr))
        if not self.silent:
            self.transport.write(datagram, addr)


class Asker(DatagramProtocol):
    """Somebody who sends datagrams to a public port."""

    noisy = False

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.from_: list[Any] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.got.append(datagram)
        self.from_.append(addr)


class UdpTestCase(IntegrationTestCase):
    """A server that allows UDP, a service behind a client, and who asks."""

    def datagrams(self, protocol: Any, host: str = HOST, port: int = 0) -> Any:
        """Give a protocol a socket."""
        found = reactor.listenUDP(port, protocol, interface=host, maxPacketSize=65_536)
        self.addCleanup(found.stopListening)
        return protocol

    def service(self, host: str = HOST) -> tuple[int, Service]:
        """Start a service; return its port."""
        made = self.datagrams(Service(), host)
        return made.transport.getHost().port, made

    async def udp_server(self, **config: Any) -> ServerService:
        """Start a server that allows it."""
        return await self.server(**{"allow_udp_ports": ("1024-65535",), **config})

    async def published(self, **more: Any) -> tuple[ServerService, ClientService, Service, int]:
        """Publish a service; return the port of its mapping, too."""
        server = await self.udp_server(**more.pop("server", {}))
        target, service = self.service()
        client = await self.open_client(server, self.udp(target, **more))
        return server, client, service, self.port_of(client)

    def udp(self, target: Any, name: str = "dns", remote: Any = 0, **more: Any) -> Any:
        """Return a mapping to a service of datagrams."""
        return self.mapping(target, name, remote, **{"protocol": "udp", "idle": 60, **more})

    @staticmethod
    def port_of(client: ClientService, name: str = "dns") -> int:
        """Return the port that a mapping has."""
        link: Any = client.each_link[0]
        address = link.published.statuses[name].address
        assert address is not None
        return int(address.port)

    @staticmethod
    def port(server: ServerService, name: str = "dns", client: str = "edge") -> UdpPort:
        """Return what the server has of a mapping."""
        found = server.hub.peers[client].mappings[name]
        assert isinstance(found, UdpPort)
        return found

    async def ask(self, asker: Asker, datagram: bytes, port: int, host: str = HOST) -> bytes:
        """Send a datagram, and wait for the answer to it."""
        before = len(asker.got)
        asker.transport.write(datagram, (host, port))
        await self.until(lambda: len(asker.got) > before, "an answer")
        return asker.got[-1]


class DatagramTests(UdpTestCase):
    """What travels."""

    async def test_there_and_back(self) -> None:
        """Datagrams of all sizes pass whole, the longest too, each by itself however fast they come; who sends them is a
        visitor of his own, with a socket of his own at the target, and his leg serves the next one."""
        server, client, service, port = await self.published()
        one, other = self.datagrams(Asker()), self.datagrams(Asker())
        for size in (1, 2, 3, 4, 5, 512, 1472, 16_379, 16_384, 32_768, MOST_DATAGRAM):
            content = os.urandom(size)
            self.assertEqual(await self.ask(one, content, port), content)
        burst = [os.urandom(size) for size in range(1, 201)]
        service.heard.clear()
        for datagram in burst:
            other.transport.write(datagram, (HOST, port))
        await self.until(lambda: len(service.heard) >= 16, "some of the burst")
        heard = [datagram for datagram, _ in service.heard]
        self.assertLessEqual(set(heard), set(burst))
        await self.ask(other, b"last", port)
        self.assertEqual(len({addr for _, addr in service.heard}), 1)
        self.assertEqual((server.hub.live, client.usage.live), (2, 2))
        address = "{}:{}".format(*one.transport.getHost().__class__("UDP", HOST, one.transport.getHost().port)._asdict()) if False else f"{HOST}:{one.transport.getHost().port}"
        self.assertIn(address, [visitor.local.address for session in server.hub.left for visitor in session.streams.values()])

    async def test_many_in_one_segment(self) -> None:
        """Datagrams that arrive together on a leg stay apart: after the target is there nothing is lost at this pace."""
        _, _, service, port = await self.published()
        asker = self.datagrams(Asker())
        await self.ask(asker, b"first", port)
        wanted = [bytes([size % 256]) * (size * 37 % 2000 + 1) for size in range(60)]
        for datagram in wanted:
            asker.transport.write(datagram, (HOST, port))
        await self.until(lambda: len(asker.got) == 61, "all answers")
        self.assertEqual(asker.got[1:], wanted)
        self.assertEqual([datagram for datagram, _ in service.heard[1:]], wanted)


class PortableDatagramTests(DatagramTests):
    """The same on the portable relay."""

    relay = "portable"
