"""tls.mode that differs between the two files: both logs say so in one line, with the key to look at."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol

from gotunnel.config.model import TlsClientConfig, TlsServerConfig
from tests.integration.base import IntegrationTestCase, Peer, reactor


class Banner(Peer):
    """A service that speaks first, in clear."""

    def connectionMade(self) -> None:
        self.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n")


class ModeTests(IntegrationTestCase):
    """One end with TLS, the other one without."""

    def setUp(self) -> None:
        super().setUp()
        self.quick(0.2, 0.2)

    def line(self, words: str) -> str:
        """Return the first line of the log with these words."""
        return next(line for line in self.lines() if words in line)

    async def test_server_without(self) -> None:
        """The TLS client hears it from the server, and goes on with TLS."""
        server = await self.server(tls=TlsServerConfig(mode="off"))
        client = self.client(server, self.mapping(1))
        await self.said("not connected to the server", 2)
        for words in ("not connected to the server", "speaks TLS, but server.tls.mode is off"):
            self.assertIn("tls.mode", self.line(words))
            self.assertEqual(len(self.line(words).splitlines()), 1)
        self.assertIn("required is the safe one", self.line("not connected"))
        self.assertIsNone(client.link.session)

    async def test_client_without(self) -> None:
        """The plain client is told by the server."""
        server = await self.server()
        client = self.client(server, self.mapping(1), tls=TlsClientConfig(mode="off"))
        await self.said("does not let this client in", 2)
        for words in ("does not let this client in: tls_required", "was refused: tls_required"):
            self.assertIn("client.tls.mode: required", self.line(words))
        self.assertIsNone(client.link.session)

    async def test_something_else(self) -> None:
        """A port where something else answers in clear: the port is what is asked about as well."""

        class Other(Factory):
            noisy = False

            def __init__(self, protocol: Any) -> None:
                self.protocol = protocol

            def buildProtocol(self, addr: object) -> Protocol:
                made: Protocol = self.protocol()
                return made

        port = reactor.listenTCP(0, Other(Banner), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.client(port.getHost().port, self.mapping(1))
        await self.said("not connected to the server")
        self.assertIn("does server_addr lead to another program?", self.line("not connected to the server"))


class PortableModeTests(ModeTests):
    """The same, with the portable relay."""

    relay = "portable"
