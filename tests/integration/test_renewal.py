"""A server's certificate is renewed under a running session: its legs bind to the certificate of their own connection,
whatever the server shows by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gotunnel.config.model import TlsClientConfig, TlsServerConfig
from gotunnel.net import renewal
from gotunnel.net.certificates import load_pair
from gotunnel.net.tls import server_tls
from gotunnel.server import greeting as server_greeting
from tests.certificates import Authority, key_in
from tests.integration.base import IntegrationTestCase


class RenewalTests(IntegrationTestCase):
    """One session, several certificates."""

    at_client = "auto"

    def setUp(self) -> None:
        super().setUp()
        self.patch(renewal, "EVERY", 0.05)
        self.authority = Authority(self.folder)
        self.cert, self.key = self.authority.issue("127.0.0.1")

    async def begin(self) -> tuple[Any, Any]:
        """Start both ends, with a visitor who stays."""
        target, _ = await self.target()
        server = await self.server(tls=TlsServerConfig(cert=self.cert, key=self.key))
        client = await self.open_client(
            server, self.mapping(target), tls=TlsClientConfig(ca=self.authority.file), relay=self.at_client
        )
        return server, client

    def put(self, cert: Path, key: Path) -> None:
        """Put a new pair into the old one's place."""
        cert.replace(self.cert)
        key.replace(self.key)

    async def test_live_session(self) -> None:
        """The visitor who is there goes on, on his old leg; the legs of later ones see the new certificate; the session
        is the same throughout, and so after a second renewal."""
        server, client = await self.begin()
        stays = await self.echoes(self.port_of(client))
        session = client.link.session
        seen = [server.hub.tls.leg_binding]
        for number, more in enumerate(({}, {"key": "RSA"}, {"key": key_in(self.key)}), 1):
            self.put(*self.authority.issue("127.0.0.1", last=60 + number, **more))
            await self.until(lambda: server.hub.tls.leg_binding not in seen, "the switch")
            seen.append(server.hub.tls.leg_binding)
            visitors = [await self.echoes(self.port_of(client)) for _ in range(6)]
            stays.transport.write(b"!")
            await self.until(lambda: stays.received.endswith(b"!" * number), "the old one")  # noqa: B023
            for visitor in visitors:
                visitor.transport.loseConnection()
            await self.until(lambda: all(visitor.ended for visitor in visitors), "they left")  # noqa: B023
        await self.said("the new certificate of this server: pin sha256:", 3)
        self.assertIs(client.link.session, session)
        self.assertEqual(sum("connected to the server" in line for line in self.lines()), 1)
        self.assertEqual([line for line in self.lines() if "leg could not be brought" in line], [])

    async def test_in_the_middle_of_a_leg(self) -> None:
        """A leg whose TLS began with the old certificate proves itself when the new one is there already."""
        server, client = await self.begin()
        session = client.link.session
        new = server_tls(load_pair(*self.authority.issue("127.0.0.1")), legs=self.relay != "portable")
        original = server_greeting.ServerGreeting._leg
        taken: list[bytes] = []

        def late(greeting: Any, leg: Any) -> None:
            if not taken:
                taken.append(server.hub.tls.leg_binding)
                server.hub.use_tls(new)
            original(greeting, leg)

        self.patch(server_greeting.ServerGreeting, "_leg", late)
        for _ in range(6):
            await self.echoes(self.port_of(client))
        self.assertEqual(len(taken), 1)
        self.assertNotEqual(taken, [new.leg_binding])
        self.assertIs(client.link.session, session)
        self.assertEqual([line for line in self.lines() if "leg could not be brought" in line], [])

    async def test_half_of_it(self) -> None:
        """A new certificate without its key changes nothing; one line says what is missing."""
        server, client = await self.begin()
        before = server.hub.tls
        new_cert, new_key = self.authority.issue("127.0.0.1")
        new_cert.replace(self.cert)
        await self.said("certificate files have changed but cannot be used")
        await self.pause(0.3)
        self.assertIs(server.hub.tls, before)
        await self.echoes(self.port_of(client))
        new_key.replace(self.key)
        await self.until(lambda: server.hub.tls is not before, "the switch")
        await self.said("the new certificate of this server")
        self.assertEqual(sum("cannot be used" in line for line in self.lines()), 1)

    async def test_next_session(self) -> None:
        """A client that comes anew is shown the new certificate, by both libraries."""
        server, client = await self.begin()
        await self.stop(client)
        old_authority = self.authority
        self.authority = Authority(self.folder, "new CA")
        self.put(*self.authority.issue("127.0.0.1"))
        await self.said("the new certificate of this server")
        target, _ = await self.target()
        trusting = TlsClientConfig(ca=self.authority.file)
        again = await self.open_client(server, self.mapping(target), tls=trusting, relay=self.at_client)
        await self.echoes(self.port_of(again))
        self.quick()
        self.client(server, self.mapping(target), name="other", tls=TlsClientConfig(ca=old_authority.file))
        await self.said("its certificate was not issued by an authority of client.tls.ca")


class PortableRenewalTests(RenewalTests):
    """The same with Twisted's TLS at both ends."""

    relay = at_client = "portable"


class MixedRenewalTests(RenewalTests):
    """The same with one library at the server and the other at the client."""

    at_client = "portable"
