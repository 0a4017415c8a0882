"""Certificates of one's own, over loopback: which server a client takes, which client a server takes, for control
connections and for legs, with either TLS library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.client.service import make_client
from gotunnel.config.model import ClientConfig, TlsClientConfig, TlsServerConfig
from gotunnel.errors import GotunnelError
from gotunnel.net.certificates import load_pair, spki_pin
from gotunnel.net.greeting import LegGreeting, SessionKey
from gotunnel.wire.clienthello import server_name
from tests.certificates import BAD, KINDS, Authority, bad_server, client_of
from tests.integration.base import TOKEN, IntegrationTestCase, Peer, reactor

CURES = {
    "other CA": "was not issued by an authority of client.tls.ca",
    "wrong name": "client.tls.server_name",
    "no name": "no name at all",
    "expired": "has expired: renew it",
    "not yet valid": "check the clocks",
    "self-signed": "is self-signed",
    "wrong EKU": "is not meant for a server",
    "wrong pin": "client.tls.pin",
}
"""What the client's one line has for each bad certificate."""


@implementer(IHandshakeListener)
class Ear(Peer):
    """A hostile server's end of a connection: keeps all that comes behind its handshake, and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.shaken = False

    def handshakeCompleted(self) -> None:
        self.shaken = True


class PkiTestCase(IntegrationTestCase):
    """A test with an authority."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.folder)

    async def hostile(self, cert: Path, key: Path) -> tuple[int, list[Ear]]:
        """Listen with a certificate; return the port, and what becomes of each connection."""
        ears: list[Ear] = []

        class Ears(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Ear:
                ears.append(Ear())
                return ears[-1]

        options = PrivateCertificate.loadPEM(key.read_bytes() + cert.read_bytes()).options()
        port = await SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1").listen(Ears())
        self.addCleanup(port.stopListening)
        return port.getHost().port, ears

    def leg_to(self, port: int, tls: TlsClientConfig, sni: str | None = None) -> Any:
        """Let a client with this configuration dial one leg to a port of 127.0.0.1."""
        config = ClientConfig(
            name="edge", token=TOKEN, server_addr=HostPort("127.0.0.1", port), mappings=(self.mapping(1),), tls=tls,
            relay=self.relay,
        )  # fmt: skip
        path = make_client(config, reactor, self.folder).link.path
        greeting = LegGreeting(reactor, 5.0, SessionKey(bytes(16), bytes(32)), 1, "reverse")
        return path.greet_leg(greeting, 5.0, plain=False, sni=sni)

    def bad_ones(self) -> dict[str, tuple[tuple[Path, Path], TlsClientConfig]]:
        """Return a certificate of each bad kind, with what a client asks."""
        ca = TlsClientConfig(ca=self.authority.file)
        found = {kind: (bad_server(kind, self.authority, "127.0.0.1"), ca) for kind in BAD}
        good = self.authority.issue("127.0.0.1")
        other = spki_pin(load_pair(*self.authority.issue("x")).leaf)
        found["wrong pin"] = (good, TlsClientConfig(pin=(other,)))
        found["wrong pin, good CA"] = (good, TlsClientConfig(ca=self.authority.file, pin=(other,)))
        pin = spki_pin(load_pair(*found["expired"][0]).leaf)
        found["expired, good pin"] = (found["expired"][0], TlsClientConfig(ca=self.authority.file, pin=(pin,)))
        return found


class BadServerTests(PkiTestCase):
    """A server with a bad certificate gets nothing."""

    async def test_control(self) -> None:
        """Not one byte of a control connection, and one line that says what to do."""
        self.quick(0.2, 0.2)
        for kind, ((cert, key), tls) in self.bad_ones().items():
            port, ears = await self.hostile(cert, key)
            before = len(self.log)
            client = self.client(port, self.mapping(1), tls=tls)
            await self.said("its certificate", 2, before)
            await self.stop(client)
            (line, *_) = [line for line in self.lines()[before:] if "its certificate" in line]
            self.assertIn(CURES[kind.partition(",")[0]], line)
            self.assertTrue(line.startswith("not connected to the server"), line)
            self.assertEqual(len(line.splitlines()), 1)
            await self.until(lambda heard=ears: all(ear.ended for ear in heard), "they end")  # type: ignore[misc]
            self.assertGreaterEqual(len(ears), 2)
            self.assertEqual({ear.received for ear in ears}, {b""}, kind)

    async def test_leg(self) -> None:
        """Nor of a leg, by itself: also where the control connection went elsewhere."""
        for kind, ((cert, key), tls) in self.bad_ones().items():
            port, ears = await self.hostile(cert, key)
            with self.assertRaises(GotunnelError) as caught:
                await self.leg_to(port, tls)
            self.assertIn("its certificate", str(caught.exception), kind)
            self.assertIn(CURES[kind.partition(",")[0]], str(caught.exception))
            await self.until(lambda heard=ears: heard and heard[0].ended, "it ends")  # type: ignore[misc]
            self.assertEqual([ear.received for ear in ears], [b""], kind)

    async def test_the_ear_hears(self) -> None:
        """What both tests above rest on: a client that asks for nothing is heard by the same server."""
        port, ears = await self.hostile(*bad_server("expired", self.authority, "127.0.0.1"))
        client = self.client(port, self.mapping(1))
        await self.until(lambda: ears and b'"hello"' in ears[0].received, "its hello")
        await self.stop(client)
        leg = self.leg_to(port, TlsClientConfig())
        with self.assertRaises(GotunnelError):
            await leg
        self.assertIn(b'"leg"', ears[-1].received)

    async def test_own_certificate_stays_hidden(self) -> None:
        """A bad server does not even see who would have come: the client's certificate is not sent to it."""
        cert, key = client_of(self.authority, "edge")
        for bad, tls in self.bad_ones().values():
            shown = TlsClientConfig(**{**tls.model_dump(), "cert": cert, "key": key})
            port, ears = await self.hostile(*bad)
            with self.assertRaises(GotunnelError):
                await self.leg_to(port, shown)
            await self.until(lambda heard=ears: heard[0].ended, "it ends")  # type: ignore[misc]
            self.assertFalse(ears[0].shaken)


class PortableBadServerTests(BadServerTests):
    """The same, with Twisted's TLS under the legs."""

    relay = "portable"


class GoodServerTests(PkiTestCase):
    """Everything that is right works, legs included."""

    async def works(self, pair: tuple[Path, Path], tls: TlsClientConfig) -> None:
        """Run a server and a client, and a visitor through both."""
        target, _ = await self.target()
        server = await self.server(tls=TlsServerConfig(cert=pair[0], key=pair[1]))
        client = await self.open_client(server, self.mapping(target), tls=tls)
        visitor = await self.echoes(self.port_of(client))
        visitor.transport.loseConnection()
        await self.stop(client)
        await self.stop(server)

    async def test_kinds(self) -> None:
        """Every kind of key; by address, by name, by wildcard; behind an intermediate authority."""
        ca = self.authority.file
        between = Authority(self.folder, "between", above=self.authority)
        named = {"ca": ca, "server_name": "tunnel.example.com"}
        for kind in KINDS:
            await self.works(self.authority.issue("127.0.0.1", key=kind), TlsClientConfig(ca=ca))
        await self.works(self.authority.issue("tunnel.example.com"), TlsClientConfig(**named))
        await self.works(self.authority.issue("*.example.com"), TlsClientConfig(**named))
        await self.works(between.issue("x", "127.0.0.1"), TlsClientConfig(ca=ca))

    async def test_pins(self) -> None:
        """A pin alone is enough, whatever the name and the dates, for the server's own certificate as well; several may
        be named; with an authority both hold."""
        other = spki_pin(load_pair(*self.authority.issue("x")).leaf)
        expired = bad_server("expired", self.authority, "elsewhere")
        pin = spki_pin(load_pair(*expired).leaf)
        await self.works(expired, TlsClientConfig(pin=(pin,)))
        await self.works(expired, TlsClientConfig(pin=(other, pin)))
        good = self.authority.issue("127.0.0.1")
        await self.works(good, TlsClientConfig(ca=self.authority.file, pin=(spki_pin(load_pair(*good).leaf),)))
        target, _ = await self.target()
        server = await self.server()
        assert server.hub.tls is not None
        own = spki_pin(server.hub.tls.pair.leaf)
        await self.said(f"pin {own}")
        client = await self.open_client(server, self.mapping(target), tls=TlsClientConfig(pin=(own,)))
        await self.echoes(self.port_of(client))


class PortableGoodServerTests(GoodServerTests):
    """The same, with Twisted's TLS under the legs."""

    relay = "portable"


class RoutingTests(PkiTestCase):
    """leg_sni: what is sent for a balancer, and what is verified, are two names."""

    async def sent(self, tls: TlsClientConfig, sni: str | None) -> str | None:
        """Return the server name in the ClientHello of a leg."""
        made: list[Peer] = []

        class Raw(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Peer:
                made.append(Peer())
                return made[-1]

        port = reactor.listenTCP(0, Raw(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        from twisted.internet.defer import Deferred

        leg = Deferred.fromCoroutine(self.leg_to(port.getHost().port, tls, sni))
        leg.addErrback(lambda failure: failure.trap(GotunnelError))
        await self.until(lambda: made and server_name(made[0].received)[0], "its ClientHello")
        made[0].transport.abortConnection()
        await leg
        return server_name(made[0].received)[1]

    async def test_names_that_are_sent(self) -> None:
        """leg_sni goes first; without it the name of the client's file, if it has one or an authority."""
        ca = TlsClientConfig(ca=self.authority.file, server_name="tunnel.example.com")
        named = TlsClientConfig(server_name="tunnel.example.com")
        for tls in (ca, named):
            self.assertEqual(await self.sent(tls, "w3.legs.example"), "w3.legs.example")
            self.assertEqual(await self.sent(tls, None), "tunnel.example.com")
        self.assertEqual(await self.sent(TlsClientConfig(), "w3.legs.example"), "w3.legs.example")
        self.assertIsNone(await self.sent(TlsClientConfig(), None))

    async def test_name_that_cannot_be_sent(self) -> None:
        """The server's word breaks nothing."""
        for name in (".x", "a..b", "a" * 64, "192.0.2.1", "..."):
            self.assertIn(await self.sent(TlsClientConfig(), name), (None, name.strip(".")))

    async def test_name_that_is_verified(self) -> None:
        """It stays that of the client's file: a certificate for leg_sni alone is a bad one."""
        tls = TlsClientConfig(ca=self.authority.file, server_name="tunnel.example.com")
        for names, heard in ((("w3.legs.example",), False), (("tunnel.example.com",), True)):
            port, ears = await self.hostile(*self.authority.issue(*names))
            with self.assertRaises(GotunnelError):
                await self.leg_to(port, tls, "w3.legs.example")
            self.assertEqual(b'"leg"' in ears[0].received, heard)


class PortableRoutingTests(RoutingTests):
    """The same, with Twisted's TLS under the legs."""

    relay = "portable"
