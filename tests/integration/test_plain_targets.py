"""encrypt: false, with real targets: one polite look at each, and a warning where payload would travel in clear."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate

from gotunnel.address import HostPort, UnixPath
from gotunnel.client import tlsprobe
from gotunnel.client.service import ClientService
from gotunnel.client.tlsprobe import ask_for_tls
from gotunnel.client.view import ClientView
from gotunnel.config.model import ForwardConfig, TlsClientConfig, TlsServerConfig
from gotunnel.errors import DialFailed
from tests.certificates import Authority
from tests.integration.base import Echo, IntegrationTestCase, Peer, reactor
from tests.ports import free_port


class Says(Peer):
    """Speaks first."""

    def __init__(self, words: bytes) -> None:
        super().__init__()
        self.words = words

    def connectionMade(self) -> None:
        self.transport.write(self.words)


class Web(Peer):
    """Answers anything as a web server does."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.transport.loseConnection()


class Closes(Peer):
    """Wants nothing of it."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.loseConnection()


class ProbeTests(IntegrationTestCase):
    """ask_for_tls, and what a client makes of it."""

    def options(self, **more: Any) -> Any:
        """Return the TLS of a target."""
        cert, key = Authority(self.folder).issue("x")
        pair = PrivateCertificate.loadPEM(key.read_bytes() + cert.read_bytes())
        if not more:
            return pair.options()
        return CertificateOptions(privateKey=pair.privateKey.original, certificate=pair.original, **more)

    async def secured(self, options: Any) -> tuple[int, list[Peer]]:
        """Start a target with TLS."""
        made: list[Peer] = []

        class Service(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Protocol:
                made.append(Peer())
                return made[-1]

        port = await SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1").listen(Service())
        self.addCleanup(port.stopListening)
        return port.getHost().port, made

    def warned(self, client: ClientService) -> list[str]:
        """Return what an operator is warned of as well."""
        views = ClientView(client, reactor).mappings()
        return [view.name for view in views if "its target does not speak TLS: it answers in clear" in view.reason]

    async def test_tls(self) -> None:
        """A target with TLS sees a connection that was closed in order, and no more."""
        port, made = await self.secured(self.options())
        self.assertIsNone(await ask_for_tls(reactor, HostPort("127.0.0.1", port)))
        await self.until(lambda: made and made[0].ended, "it left")
        self.assertEqual((len(made), made[0].received, made[0].was_reset), (1, b"", False))

    async def test_tls_that_refuses_us(self) -> None:
        """One that wants a certificate of its visitors, or answers with an alert, speaks TLS as well."""
        authority = crypto.X509.from_cryptography(self.options().certificate.to_cryptography())
        port, _ = await self.secured(
            self.options(verify=True, caCerts=[authority], requireCertificate=True)
        )
        self.assertIsNone(await ask_for_tls(reactor, HostPort("127.0.0.1", port)))

        port, _ = await self.target(lambda: Says(b"\x15\x03\x03\x00\x02\x02\x28"))
        self.assertIsNone(await ask_for_tls(reactor, HostPort("127.0.0.1", port)))
        self.assertTrue(SSL.OPENSSL_VERSION_NUMBER)

    async def test_clear(self) -> None:
        """Those that answer in clear, speak first, close, or say nothing; SSH is enciphered by itself."""
        self.patch(tlsprobe, "SECONDS", 0.3)
        for make, expected in (
            (Web, "it answers in clear"),
            (Echo, "it answers in clear"),
            (lambda: Says(b"220 mail.example ESMTP\r\n"), "it answers in clear"),
            (Closes, "it closes the connection when it is greeted with TLS"),
            (Peer, "no answer in TLS within 0.3 s"),
            (lambda: Says(b"SSH-2.0-OpenSSH_9.2\r\n"), None),
        ):
            port, made = await self.target(make)
            self.assertEqual(await ask_for_tls(reactor, HostPort("127.0.0.1", port)), expected)
            await self.until(lambda them=made: them[0].ended, "it left")  # type: ignore[misc]

    async def test_unreachable(self) -> None:
        """Somebody else says so."""
        for target in (HostPort("127.0.0.1", free_port(self)), UnixPath(os.path.relpath(self.folder / "none"))):
            with self.assertRaises(DialFailed):
                await ask_for_tls(reactor, target)

    async def test_cancel(self) -> None:
        """Closed at once, whatever it had come to."""
        port, made = await self.target(Peer)
        asking = ask_for_tls(reactor, HostPort("127.0.0.1", port))
        await self.until(lambda: made and made[0].received, "the ClientHello")
        asking.cancel()
        with self.assertRaises(CancelledError):
            await asking
        await self.until(lambda: made[0].ended, "it left")

    async def test_no_descriptor_for_the_probe(self) -> None:
        """A probe that finds no descriptor is given up like one that reaches nobody, and its socket is closed."""

        def full(*_: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        near, far = socket.socketpair()
        self.addCleanup(far.close)
        self.patch(reactor, "adoptStreamConnection", full)
        with self.assertRaises(DialFailed) as caught:
            tlsprobe.ask_on(reactor, near, None)
        self.assertEqual((caught.exception.code, near.fileno()), ("no_fds", -1))

    async def test_through_a_client(self) -> None:
        """A client warns of the target in clear, once, and of no other; visitors are served all the same."""
        self.quick()
        tls, _ = await self.secured(self.options())
        clear, made = await self.target()
        server = await self.server(allow_plain_legs=True)
        mappings = [
            self.mapping(port, name, encrypt=name == "inside")
            for name, port in (("tls", tls), ("clear", clear), ("inside", clear))
        ]
        client = await self.open_client(server, *mappings)
        await self.said("mapping clear has encrypt: false, but its target")
        self.assertEqual(len(made), 1)
        await self.echoes(self.port_of(client, "clear"))
        assert client.link.session is not None
        client.link.session.control.transport.abortConnection()
        await self.said("connected to the server", 2)
        await self.until(lambda: self.is_open(client), "it is open again")
        await self.echoes(self.port_of(client, "clear"))
        self.assertEqual(sum("does not speak TLS" in line for line in self.lines()), 1)
        await self.said("outside gotunnel's TLS, if the server allows it (encrypt: false): tls, clear")
        self.assertEqual(self.warned(client), ["clear"])

    async def test_inside_after_all(self) -> None:
        """Where the server does not let it out of TLS nobody on the path reads it: its operator sees no warning."""
        clear, _ = await self.target()
        client = await self.open_client(await self.server(), self.mapping(clear, encrypt=False))
        await self.said("does not speak TLS")
        self.assertEqual(self.warned(client), [])

    async def test_through_a_forward(self) -> None:
        """A client looks at the target of a forward from where its visitors come, too: the one in clear is warned of,
        once; not the one with TLS, nor one that the server does not reach, nor what travels inside of TLS."""
        tls, seen = await self.secured(self.options())
        clear, made = await self.target()
        targets = {"tls": tls, "nobody": free_port(self), "clear": clear, "inside": clear}
        forwards = [
            ForwardConfig.model_validate(
                {"name": name, "listen": "127.0.0.1:0", "dial": f"127.0.0.1:{port}", "encrypt": name == "inside"}
            )
            for name, port in targets.items()
        ]
        server = await self.server(allow_plain_legs=True, allow_dial=("127.0.0.1:1-65535",))
        client = await self.open_client(server, forwards=forwards)
        await self.said("forward clear has encrypt: false, but its target 127.0.0.1:")
        await self.said("it answers in clear")
        await self.said("forwards outside gotunnel's TLS (encrypt: false): tls, nobody, clear")
        self.assertEqual((len(made), len(seen)), (1, 1))
        address = client.links.forwards.address("clear")
        assert isinstance(address, HostPort)
        await self.echoes(address.port)
        self.assertEqual(sum("does not speak TLS" in line for line in self.lines()), 1)
        self.assertEqual(len(made), 2)
        self.assertEqual(self.warned(client), ["clear"])

    async def test_without_tls_at_all(self) -> None:
        """Then there is nothing that it could be outside of."""
        clear, made = await self.target()
        server = await self.server(tls=TlsServerConfig(mode="off"))
        client = await self.open_client(server, self.mapping(clear, encrypt=False), tls=TlsClientConfig(mode="off"))
        await self.echoes(self.port_of(client))
        self.assertEqual([line for line in self.lines() if "does not speak TLS" in line], [])
        self.assertEqual(len(made), 1)


class PortableProbeTests(ProbeTests):
    """The same, with the portable relay."""

    relay = "portable"
