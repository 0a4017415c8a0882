"""What the tests of the library have in common: a server, tunnels to it, visitors, and that nothing is left."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol

from gotunnel.api import Event, PublicPort, Tunnel
from gotunnel.server.service import ServerService
from tests.integration.base import TOKEN, Echo, IntegrationTestCase, Peer, reactor

__all__ = ["ApiTestCase", "Service"]


class Service(Factory):
    """Makes protocols and keeps them; counts its starts."""

    noisy = False

    def __init__(self, make: Any = Echo) -> None:
        self.make = make
        self.made: list[Any] = []
        self.started = 0
        self.addresses: list[Any] = []

    def doStart(self) -> None:
        self.started += 1

    def doStop(self) -> None:
        self.started -= 1

    def buildProtocol(self, addr: object) -> Protocol:
        self.addresses.append(addr)
        self.made.append(self.make())
        return self.made[-1]


class ApiTestCase(IntegrationTestCase):
    """A test with a server of its own."""

    options: dict[str, Any] = {}

    def tunnel(self, server: ServerService | int, **options: Any) -> Tunnel:
        """Return a tunnel to a server; it is closed behind the test."""
        port = server if isinstance(server, int) else server.address.port
        given = {"token": TOKEN, "relay": self.relay, "reactor": reactor, **options}
        tunnel = Tunnel(f"127.0.0.1:{port}", **given)
        self.addCleanup(tunnel.close)
        self.addCleanup(lambda: tunnel._session.end())
        return tunnel

    async def visitor(self, port: PublicPort) -> Peer:
        """Visit."""
        assert port.address is not None
        return await self.connect(port.address.port)

    @staticmethod
    def events(tunnel: Tunnel) -> list[Event]:
        """Return a list that grows by what is observed."""
        heard: list[Event] = []
        tunnel.observe(heard.append)
        return heard
