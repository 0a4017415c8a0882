"""What targets hear of visitors who go a long way: from one member of a group to the next, by forwards, or from another
client."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.protocols.haproxy._v2parser import V2Parser

from gotunnel.address import HostPort
from gotunnel.config.model import ForwardConfig, MappingConfig
from gotunnel.server.service import ServerService
from tests.integration.base import IntegrationTestCase, Peer

NOTHING = 9
"""A port of 127.0.0.1 where nobody listens."""


class WayTests(IntegrationTestCase):
    """One visitor of an echo, and what stands ahead of his bytes."""

    async def hears(self, port: int) -> tuple[bytes, IPv4Address, Peer]:
        """Visit; return what the target heard, where the visitor was seen, and himself."""
        visitor = await self.connect(port)
        visitor.transport.write(b"hello")
        await self.until(lambda: visitor.received.endswith(b"hello"), "the echo")
        return visitor.received, visitor.transport.getHost(), visitor

    @staticmethod
    def hidden(target: int, version: str = "v1") -> MappingConfig:
        """Return a mapping that other clients reach, and nobody else."""
        return MappingConfig.model_validate(
            {"name": "web", "local": target, "public": False, "clients": ["asker-*"], "proxy_protocol": version}
        )

    async def asker(self, server: ServerService, **forward: Any) -> tuple[str, int]:
        """Start a client with a forward; return its name and its port."""
        self.asked += 1
        name = f"asker-{self.asked}"
        words = ForwardConfig.model_validate({"name": name, "listen": "127.0.0.1:0", **forward})
        client = await self.open_client(server, name=name, forwards=(words,))
        await self.said(f"forward {name} open")
        address = client.links.forwards.address(name)
        assert isinstance(address, HostPort)
        return name, address.port

    asked = 0

    async def test_next_of_a_group(self) -> None:
        """The member that serves him in the end tells its target once, in its own version."""
        self.quick()
        server = await self.server(allow_groups=("api",))
        target, made = await self.target()
        for number, (local, version) in enumerate(((NOTHING, "v2"), (target, "v1"))):
            mapping = self.mapping(local, remote=0, group="api", proxy_protocol=version)
            client = await self.open_client(server, mapping, name=f"client-{number}")
        port = self.port_of(client)
        heard, here, _ = await self.hears(port)
        self.assertEqual(heard, f"PROXY TCP4 127.0.0.1 127.0.0.1 {here.port} {port}\r\nhello".encode())
        await self.said("moves from client client-0 to client-1: refused")
        self.assertEqual(len(made), 1)

    async def test_from_another_client(self) -> None:
        """Who comes from another client's forward is as good as that client, as the server sees it; what the client
        says of him is not told, and he came to no port of the server."""
        server = await self.server(allow_dial=("mapping:*/*",))
        target, _ = await self.target()
        await self.open_client(server, self.hidden(target), name="owner")
        name, port = await self.asker(server, dial="mapping:owner/web")
        heard, _, _ = await self.hears(port)
        session = server.hub.peers[name].session
        assert session is not None
        ip, _, number = session.address.partition(":")
        self.assertEqual(heard, f"PROXY TCP4 {ip} 0.0.0.0 {number or 0} 0\r\nhello".encode())

    async def test_forward(self) -> None:
        """A forward's target behind the server hears who came to the client, and where: from the client itself, so that
        the server need know nothing of it; outside of TLS, too."""
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",), allow_plain_legs=True)
        for more in ({}, {"encrypt": False}):
            _, port = await self.asker(server, dial=f"127.0.0.1:{target}", proxy_protocol="v1", **more)
            heard, here, _ = await self.hears(port)
            self.assertEqual(heard, f"PROXY TCP4 127.0.0.1 127.0.0.1 {here.port} {port}\r\nhello".encode())

    async def test_forward_to_a_mapping(self) -> None:
        """Both say what they know, the owner of the mapping first."""
        server = await self.server(allow_dial=("mapping:*/*",))
        target, _ = await self.target()
        await self.open_client(server, self.hidden(target), name="owner")
        _, port = await self.asker(server, dial="mapping:web", proxy_protocol="v2")
        heard, here, _ = await self.hears(port)
        owners, _, own = heard.partition(b"\r\n")
        self.assertTrue(owners.startswith(b"PROXY TCP4 127.0.0.1 0.0.0.0 "), owners)
        info, left = V2Parser().feed(own)
        assert info is not None
        self.assertEqual((info.source, info.destination), (here, IPv4Address("TCP", "127.0.0.1", port)))
        self.assertEqual(left, b"hello")
