"""server.tls.client_ca, over loopback: who has no certificate of his own name does not get in, on control connections
and on legs, with either TLS library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gotunnel.client.service import ClientService
from gotunnel.config.model import TlsClientConfig, TlsServerConfig
from gotunnel.net import renewal
from gotunnel.net.certificates import load_pair
from gotunnel.net.legtls import client_leg_tls
from gotunnel.net.owncert import own_pair
from gotunnel.net.tls import client_creator, server_tls
from gotunnel.server import greeting as server_greeting
from gotunnel.server.service import ServerService
from tests.certificates import Authority, client_of
from tests.integration.base import IntegrationTestCase

WANTED = "the server wants a certificate of this client: set client.tls.cert and key"
REFUSED = "the server refuses the certificate of this client (client.tls.cert): its log says why"
NONE_SHOWN = "was refused: it shows no client certificate (client.tls.cert), and server.tls.client_ca asks for one"


class ClientCertificateTests(IntegrationTestCase):
    """What the server takes."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(renewal, "EVERY", 0.05)
        self.authority = Authority(self.folder, "clients CA")
        self.asking = TlsServerConfig(client_ca=self.authority.file)

    def heard(self) -> list[bytes]:
        """Return the list that all bytes behind a handshake go into from now on."""
        said: list[bytes] = []
        original = server_greeting.ServerGreeting.dataReceived

        def received(greeting: Any, data: bytes) -> None:
            said.append(data)
            original(greeting, data)

        self.patch(server_greeting.ServerGreeting, "dataReceived", received)
        return said

    def certified(self, server: ServerService, pair: tuple[Path, Path] | None, **more: Any) -> ClientService:
        """Start a client that shows a certificate."""
        tls = {} if pair is None else {"cert": pair[0], "key": pair[1]}
        return self.client(server, more.pop("mapping", self.mapping(1)), tls=TlsClientConfig(**tls), **more)

    async def test_good(self) -> None:
        """The client's own: visitors come through its legs."""
        target, _ = await self.target()
        server = await self.server(tls=self.asking)
        between = Authority(self.folder, "between", above=self.authority)
        for name, issuer in (("edge", self.authority), ("edge-2", between)):
            client = self.certified(
                server, client_of(issuer, "more.example", name), name=name, mapping=self.mapping(target, name)
            )
            await self.until(lambda it=client: self.is_open(it), "it is open")  # type: ignore[misc]
            await self.echoes(self.port_of(client, name))

    async def test_refused_by_tls(self) -> None:
        """No certificate, or a bad one: the server hears no byte; one line at each end says what to do."""
        self.quick(0.2, 0.2)
        said = self.heard()
        server = await self.server(tls=self.asking)
        other = Authority(self.folder, "other CA")
        for pair, at_client, at_server in (
            (None, WANTED, NONE_SHOWN),
            (client_of(other, "edge"), REFUSED, "was not issued by an authority of server.tls.client_ca"),
            (client_of(self.authority, "edge", first=-30, last=-1), REFUSED, "its certificate has expired"),
            (client_of(self.authority, "edge", first=1), REFUSED, "its certificate is not valid yet"),
            (client_of(self.authority, "edge", self_signed=True), REFUSED, "its certificate is self-signed"),
            (self.authority.issue("edge"), REFUSED, "its certificate is not meant for a client"),
        ):
            before = len(self.log)
            client = self.certified(server, pair)
            await self.said(at_client, 1, before)
            await self.said(at_server, 1, before)
            await self.stop(client)
            self.assertEqual(said, [], at_server)
        self.assertEqual((len(server.hub.sessions), server.hub.peers), (0, {}))

    async def test_other_name(self) -> None:
        """A certificate of another client of the same authority: auth_failed, with the name that is missing."""
        self.quick(0.2, 0.2)
        server = await self.server(tls=self.asking)
        for names in (("other",), ("Edge",), ("*",)):
            before = len(self.log)
            client = self.certified(server, client_of(self.authority, *names))
            await self.said("does not let this client in: auth_failed: the client certificate is not for edge", 1,
            before)
            await self.said("was refused: auth_failed: the client certificate is not for edge", 1, before)
            await self.stop(client)
        self.assertEqual((len(server.hub.sessions), server.hub.peers), (0, {}))

    async def leg_with(self, pair: tuple[Path, Path] | None) -> list[str]:
        """Let a client that is connected dial its legs with another certificate; return what is said after that."""
        self.quick(0.2, 0.2)
        server = await self.server(tls=self.asking, leg_wait=0.5)
        shown = None if pair is None else load_pair(*pair)
        client = self.certified(server, client_of(self.authority, "edge"))
        creator = client_creator(None, "x", pair=shown)
        legs = client_leg_tls(None, "x", pair=shown) if self.relay != "portable" else None
        original = server_greeting.ServerGreeting._establish

        def then_legs(*args: Any) -> None:
            client.link.path.use(creator, legs)
            original(*args)

        self.patch(server_greeting.ServerGreeting, "_establish", then_legs)
        await self.until(lambda: self.is_open(client), "the control connection works")
        await self.said("a leg could not be brought to the server")
        (session,) = server.hub._live
        self.assertEqual(session.legs_held, 0)
        return self.lines()

    async def test_leg_of_another_client(self) -> None:
        """It has the session's key, and a good certificate, but of another client: refused."""
        lines = "\n".join(await self.leg_with(client_of(self.authority, "other")))
        self.assertIn("was refused: auth_failed: the client certificate is not for edge but for other", lines)

    async def test_leg_without(self) -> None:
        """A leg without a certificate is refused by TLS."""
        lines = "\n".join(await self.leg_with(None))
        self.assertIn(WANTED, lines)
        self.assertIn(NONE_SHOWN, lines)

    async def test_renewed_at_the_client(self) -> None:
        """A client takes up its own new certificate, for legs of the running session as well."""
        target, _ = await self.target()
        server = await self.server(tls=self.asking)
        cert, key = client_of(self.authority, "edge")
        client = self.certified(server, (cert, key), mapping=self.mapping(target))
        await self.until(lambda: self.is_open(client), "it is open")
        for old, new in zip((cert, key), client_of(self.authority, "edge", last=90), strict=True):
            new.replace(old)
        await self.said("the new certificate of this client: SHA-256")
        port = self.port_of(client)
        for _ in range(6):  # more than there were legs
            await self.echoes(port)
        self.assertEqual(sum("connected to the server" in line for line in self.lines()), 1)

    async def test_authority_changed(self) -> None:
        """A changed client_ca: who was good is cut and gets in no more, who was not gets in; who is good still notices
        nothing."""
        self.quick(0.2, 0.2)
        other = Authority(self.folder, "other CA")
        server = await self.server(tls=self.asking)
        target, _ = await self.target()
        first = self.certified(server, client_of(self.authority, "edge"), mapping=self.mapping(target))
        await self.until(lambda: self.is_open(first), "it is open")
        visitor = await self.echoes(self.port_of(first))
        both = self.authority.file.read_bytes() + other.file.read_bytes()
        self.authority.file.write_bytes(both)
        await self.said("server.tls.client_ca was read again")
        between = Authority(self.folder, "between", above=other)
        second = self.certified(server, client_of(between, "edge-2"), name="edge-2")
        await self.until(lambda: self.is_open(second), "it is open")
        self.assertIsNone(visitor.ended)
        session = second.link.session
        self.authority.file.write_bytes(other.file.read_bytes())
        await self.said("client edge was disconnected (127.0.0.1:")
        await self.until(lambda: visitor.ended, "its visitor is cut")
        await self.said(REFUSED)
        self.assertIsNone(first.link.session)
        self.assertIs(second.link.session, session)
        self.assertEqual(sum("was disconnected (" in line for line in self.lines()), 1)

    async def test_authority_changed_in_the_middle(self) -> None:
        """Also for a connection that began before the change: between hello and auth, and between TLS and a leg."""
        self.quick(0.2, 0.2)
        other = Authority(self.folder, "other CA")
        pair = own_pair(self.folder)
        new = server_tls(pair, other.file, legs=self.relay != "portable")
        for step in ("_auth", "_leg"):
            server = await self.server(tls=self.asking)
            original = getattr(server_greeting.ServerGreeting, step)

            def late(*args: Any, then: Any = original, hub: Any = server.hub) -> None:
                hub.use_tls(new)
                then(*args)

            patched = self.patch(server_greeting.ServerGreeting, step, late)
            before = len(self.log)
            client = self.certified(server, client_of(self.authority, "edge"))
            refused = {
                "_auth": "the client certificate was not issued by an authority",
                "_leg": "client edge was disconnected",
            }
            await self.said(refused[step], 1, before)
            await self.stop(client)
            patched.restore()
            await self.stop(server)

    async def test_expiry_is_said(self) -> None:
        """At both ends, each of its own."""
        cert, key = Authority(self.folder, "servers CA").issue("x", last=3)
        server = await self.server(tls=TlsServerConfig(cert=cert, key=key, client_ca=self.authority.file))
        self.certified(server, client_of(self.authority, "edge", last=5))
        await self.said("the certificate of this server expires on")
        await self.said("the certificate of this client expires on")


class PortableClientCertificateTests(ClientCertificateTests):
    """The same, with Twisted's TLS under the legs."""

    relay = "portable"
