"""What the tests of mappings of datagrams stand on: a server that allows UDP, services behind a client, who asks."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol

from gotunnel.client.service import ClientService
from gotunnel.core.dropped import Drop
from gotunnel.server.service import ServerService
from gotunnel.server.udpport import UdpPort
from gotunnel.server.view import ServerView
from tests.ports import free_port

from .base import reactor
from .test_reload import ReloadCase

__all__ = ["HOST", "Asker", "Service", "UdpTestCase"]

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
        self.sources: list[Any] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.got.append(datagram)
        self.sources.append(addr[:2])


class UdpTestCase(ReloadCase):
    """See the module."""

    def datagrams(self, protocol: Any, host: str = HOST, port: int | None = None) -> Any:
        """Give a protocol a socket."""
        found = reactor.listenUDP(port or free_port(self), protocol, interface=host, maxPacketSize=65_536)
        self.addCleanup(found.stopListening)
        return protocol

    def service(self, host: str = HOST) -> tuple[int, Service]:
        """Start a service; return its port."""
        made = self.datagrams(Service(), host)
        return made.transport.getHost().port, made

    def asker(self, host: str = HOST) -> Asker:
        """Return somebody who asks, from a port of his own."""
        made: Asker = self.datagrams(Asker(), host)
        return made

    async def udp_server(self, **config: Any) -> ServerService:
        """Start a server that allows it."""
        return await self.server(**{"allow_udp_ports": ("1024-65535",), **config})

    def udp(self, target: Any, remote: Any = 0, **more: Any) -> Any:
        """Return a mapping to a service of datagrams."""
        return self.mapping(target, "dns", remote, **{"protocol": "udp", **more})

    async def published(self, **config: Any) -> tuple[ServerService, ClientService, Service, int]:
        """Publish a service; return the port of its mapping, too."""
        server = await self.udp_server(**config)
        target, service = self.service()
        client = await self.open_client(server, self.udp(target))
        return server, client, service, self.port_of(client, "dns")

    @staticmethod
    def port(server: ServerService) -> UdpPort:
        """Return what the server has of the mapping."""
        found = server.hub.peers["edge"].mappings["dns"]
        assert isinstance(found, UdpPort)
        return found

    @staticmethod
    def view(server: ServerService) -> ServerView:
        """Return what an operator sees."""
        return ServerView(server)

    async def ask(self, asker: Asker, datagram: bytes, port: int, host: str = HOST) -> bytes:
        """Send a datagram, and wait for what comes back."""
        before = len(asker.got)
        asker.transport.write(datagram, (host, port))
        await self.until(lambda: len(asker.got) > before, "an answer")
        return asker.got[-1]

    async def dropped(self, server: ServerService, reason: Drop, count: int = 1) -> None:
        """Wait until so many datagrams were dropped for a reason."""
        await self.until(lambda: self.port(server).flows.dropped[reason] == count, f"dropped: {reason.value}")
        self.assertEqual(server.hub.usage.dropped[reason], count)
