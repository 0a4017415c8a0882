"""Balancers in front of public ports, which bring their clients by the PROXY protocol."""

from __future__ import annotations

from gotunnel.server import fronts
from gotunnel.wire.proxyheader import encode_proxy_header
from tests.integration.base import IntegrationTestCase, Peer

SOURCE, CAME_TO = "203.0.113.7:50000", "198.51.100.1:443"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
ONE, TWO = (encode_proxy_header(version, SOURCE, CAME_TO) for version in ("v1", "v2"))


class FrontTests(IntegrationTestCase):
    """The fast relay, where it runs."""

    async def said_by(self, port: int, *pieces: bytes) -> Peer:
        """Visit, and say this piece by piece."""
        visitor = await self.connect(port)
        for piece in pieces:
            visitor.transport.write(piece)
            await self.pause(0.02)
        return visitor

    async def test_visitors(self) -> None:
        """Both versions, in one piece with what follows or cut anywhere: the target gets what is behind the header, and
        the log knows who he really is; so does a target that is told."""
        server = await self.server(proxy_from=("127.0.0.0/8",))
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target), self.mapping(target, "told", proxy_protocol="v1"))
        self.debug()
        for header in (ONE, TWO):
            cut = header[:3], header[3:20], header[20:] + b"hello"
            for pieces in ((header + b"hello",), (header, b"hello"), cut):
                visitor = await self.said_by(self.port_of(client), *pieces)
                await self.until(lambda: visitor.received == b"hello", "the echo")  # noqa: B023 - at once
        await self.said(f"visitor {SOURCE} connected to web of client", 6)
        visitor = await self.said_by(self.port_of(client, "told"), TWO + b"hello")
        await self.until(lambda: visitor.received == ONE + b"hello", "the header goes on")

    async def test_health_check(self) -> None:
        """A balancer's own connection is its own."""
        server = await self.server(proxy_from=("127.0.0.1/32",))
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        self.debug()
        visitor = await self.said_by(self.port_of(client), b"PROXY UNKNOWN\r\nhello")
        await self.until(lambda: visitor.received == b"hello", "the echo")
        await self.said(f"visitor 127.0.0.1:{visitor.transport.getHost().port} connected to web")

    async def test_look(self) -> None:
        """A balancer's own connection that ends without a word is nobody: no visitor, no line, no dial, whether it is
        closed or reset; one that stays gets what its target says first."""
        server = await self.server(proxy_from=("127.0.0.1/32",))
        target, made = await self.target()
        client = await self.open_client(server, self.mapping(target))
        port, before = self.port_of(client), len(self.lines())
        for header in (b"PROXY UNKNOWN\r\n", LOCAL):
            for orderly in (True, False):
                visitor = await self.said_by(port, header)
                if orderly:
                    visitor.transport.loseConnection()
                else:
                    visitor.transport.abortConnection()
                await self.until(lambda: visitor.ended, "the end")  # noqa: B023 - at once
        self.assertEqual((self.lines()[before:], made), ([], []))
        self.assertEqual(server.hub.usage.opened, 0)
        visitor = await self.said_by(port, LOCAL)
        await self.until(lambda: made, "the target")
        made[0].transport.write(b"220 here\r\n")
        await self.until(lambda: visitor.received == b"220 here\r\n", "what the target says")

    async def test_refused(self) -> None:
        """From such a network nobody gets in without a header, or with none in time; elsewhere a header is what the
        visitor says."""
        self.patch(fronts, "PATIENCE", 0.3)
        server = await self.server(proxy_from=("127.0.0.0/8",))
        target, made = await self.target()
        client = await self.open_client(server, self.mapping(target))
        for pieces in ((b"GET / HTTP/1.1\r\n\r\n",), (ONE[:-1],), ()):
            visitor = await self.said_by(self.port_of(client), *pieces)
            await self.until(lambda: visitor.was_reset, "the reset")  # noqa: B023 - at once
        visitor = await self.connect(self.port_of(client))
        visitor.transport.loseWriteConnection()
        await self.until(lambda: visitor.ended, "the end")
        for words in ("it does not begin with one", "no header within 0.3 s", "it ended ahead of its header"):
            await self.said(words)
        self.assertEqual(made, [])
        server.hub.fronts.use(("10.0.0.0/8",))
        visitor = await self.said_by(self.port_of(client), ONE)
        await self.until(lambda: visitor.received == ONE, "the echo")

    async def test_leaves_meanwhile(self) -> None:
        """Who is reset while his header is awaited leaves nothing behind, and so does one whose server stops."""
        self.patch(fronts, "PATIENCE", 60.0)
        server = await self.server(proxy_from=("127.0.0.0/8",))
        target, made = await self.target()
        client = await self.open_client(server, self.mapping(target))
        visitor = await self.said_by(self.port_of(client), ONE[:5])
        visitor.transport.abortConnection()
        other = await self.said_by(self.port_of(client), ONE[:5])
        await self.stop(client)
        await self.stop(server)
        await self.until(lambda: other.ended, "the end")
        self.assertEqual(made, [])

    async def test_group(self) -> None:
        """A group's port knows them too."""
        server = await self.server(proxy_from=("127.0.0.0/8",), allow_groups=("api",))
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target, group="api", proxy_protocol="v1"))
        visitor = await self.said_by(self.port_of(client), TWO + b"hello")
        await self.until(lambda: visitor.received == ONE + b"hello", "header and echo")


class PortableFrontTests(FrontTests):
    """The portable relay."""

    relay = "portable"
