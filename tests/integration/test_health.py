"""Targets that come and go, over loopback: while one is down its public port is closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.trial.unittest import SkipTest

from gotunnel.client.service import ClientService
from tests.certificates import BAD, Authority, bad_server
from tests.integration.base import Echo, IntegrationTestCase, Peer, reactor
from tests.ports import free_port

QUICK: dict[str, Any] = {"interval": 0.1, "timeout": 0.3, "failures": 1}


class Web(Protocol):
    """Answers a GET with a status, or not at all."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def dataReceived(self, data: bytes) -> None:
        self.site.asked.append(data)
        if self.site.status:
            self.transport.write(b"HTTP/1.1 %d x\r\nConnection: close\r\n\r\nbody" % self.site.status)
            self.transport.loseConnection()


class Site(Factory):
    """A web service."""

    noisy = False

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[bytes] = []

    def buildProtocol(self, addr: object) -> Protocol:
        return Web(self)


class HealthTestCase(IntegrationTestCase):
    """A test that looks at public ports and at the log."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.pause, 0.02)  # legs that were cut a moment ago still end

    async def refused(self, port: int) -> bool:
        """Whether nobody listens there."""
        try:
            visitor = await self.connect(port)
        except (ConnectionRefusedError, ConnectError):
            return True
        visitor.transport.abortConnection()
        return False

    def said(self, words: str) -> int:
        """How many lines have these words."""
        return sum(words in line for line in self.lines())

    async def until_said(self, words: str, times: int = 1) -> None:
        await self.until(lambda: self.said(words) >= times, f"{words!r} {times} times in the log")

    async def listen(self, endpoint: Any, factory: Factory) -> int:
        """Listen until the test is over; return the port, if there is one."""
        port = await endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        return getattr(port.getHost(), "port", 0)

    async def probed(self, local: Any, **health: Any) -> tuple[ClientService, int]:
        """Start a server, and a client with one mapping; return the client and its public port."""
        client = await self.open_client(await self.server(), self.mapping(local, health={**QUICK, **health}))
        return client, self.port_of(client)


class TcpTests(HealthTestCase):
    """The probe by connecting."""

    def serve(self, port: int | None = None) -> Any:
        factory = Factory.forProtocol(Echo)
        factory.noisy = False
        return reactor.listenTCP(port or free_port(self), factory, interface="127.0.0.1")

    async def test_flap(self) -> None:
        """Ten times down and up: closed while down, and within a second of the verdict visitors are served again."""
        target = self.serve()
        self.addCleanup(lambda: target.stopListening())
        number = target.getHost().port
        _, public = await self.probed(number)
        for times in range(1, 11):
            await target.stopListening()
            await self.until_said("is down: connection refused", times)
            await self.until_said("mapping web of client edge is down at", times)
            self.assertTrue(await self.refused(public))
            target = self.serve(number)
            await self.until_said("is up again after", times)
            began = reactor.seconds()
            while await self.refused(public):
                await self.pause(0.01)
            visitor = await self.echoes(public)
            self.assertLess(reactor.seconds() - began, 1.0)
            visitor.transport.loseConnection()
        self.assertEqual(
            (self.said("of mapping web is down: "), self.said("of mapping web is up again")), (10, 10)
        )

    async def test_down_at_start(self) -> None:
        """The ordinary case: the target comes later than the client."""
        target = self.serve()
        number = target.getHost().port
        await target.stopListening()
        _, public = await self.probed(number, failures=1000)
        await self.until_said("mapping web of client edge is down at")
        self.assertTrue(await self.refused(public))
        target = self.serve(number)
        self.addCleanup(target.stopListening)
        await self.until_said("mapping web of client edge is up at")
        await self.echoes(public)

    async def test_streams_go_on(self) -> None:
        """A target that takes no new connection and serves the old ones: they stream on."""
        target = self.serve()
        _, public = await self.probed(target.getHost().port)
        visitor = await self.echoes(public)
        await target.stopListening()
        await self.until_said("mapping web of client edge is down at")
        visitor.transport.write(b" again")
        await self.until(lambda: visitor.received == b"hello again", "the echo")

    async def test_reconnects(self) -> None:
        """30 sessions, the target down all the time: the port never stays open, and descriptors are as before."""
        self.quick()
        target = self.serve()
        number = target.getHost().port
        await target.stopListening()
        client, public = await self.probed(number)
        await self.until_said("mapping web of client edge is down at")
        before = self.descriptors()
        for times in range(2, 32):
            assert client.link.session is not None
            client.link.session.close("test")
            await self.until_said("mapping web of client edge is down at", times)
            self.assertTrue(await self.refused(public))
        await self.until(lambda: self.descriptors() <= before + 1, "descriptors are as before")
        self.assertEqual(self.said("of mapping web is down: "), 1)


class HttpTests(HealthTestCase):
    """The probe by a GET."""

    async def test_status(self) -> None:
        """An unexpected status is down, the expected one up, over IPv4, IPv6 and a unix socket."""
        for make, local in (
            (lambda: TCP6ServerEndpoint(reactor, 0, interface="::1"), "[::1]:{port}"),
            (lambda: UNIXServerEndpoint(reactor, "web.sock"), f"unix:{Path('web.sock').absolute()}"),
        ):
            site = Site()
            try:
                port = await self.listen(make(), site)
            except OSError as error:
                raise SkipTest(f"no {local} here: {error}") from None
            client, public = await self.probed(
                local.format(port=port), type="http", path="/healthz", status=200
            )
            await self.until(lambda site=site: site.asked, "a probe")
            self.assertFalse(await self.refused(public))
            downs, ups = self.said("instead of 200"), self.said("up again after")
            site.status = 503
            await self.until_said("it answers with status 503 instead of 200", downs + 2)
            self.assertTrue(await self.refused(public))
            site.status = 200
            await self.until_said("up again after", ups + 2)
            self.assertFalse(await self.refused(public))
            self.assertTrue(all(asked.startswith(b"GET /healthz HTTP/1.1\r\nHost: ") for asked in site.asked))
            await self.stop(client)

    async def test_hanging(self) -> None:
        """A service that accepts and never answers is down after the timeout; its connections do not pile up."""
        number, made = await self.target(Peer)
        _, public = await self.probed(number, type="http")
        await self.until_said("is down: no answer within 0.3 s")
        await self.until_said("mapping web of client edge is down at")
        self.assertTrue(await self.refused(public))
        await self.until(lambda: len(made) > 4, "more probes")
        await self.until(lambda: sum(each.ended is None for each in made) <= 1, "they were cut")

    async def test_stop_within_a_probe(self) -> None:
        """A client that stops while a probe hangs leaves nothing (which every test of this file checks at its end)."""
        number, made = await self.target(Peer)
        client, _ = await self.probed(number, type="http", timeout=100)
        await self.until(lambda: made and made[0].received, "a probe")
        await self.stop(client)
        await self.until(lambda: made[0].ended, "it was cut")
        self.assertEqual(self.said("is down"), 0)


class TlsTests(HealthTestCase):
    """The same inside TLS."""

    async def secured(self, certificate: tuple[Path, Path]) -> int:
        """Start a web service with a certificate and its key; return its port."""
        cert, key = (path.read_bytes() for path in certificate)
        options = PrivateCertificate.loadPEM(key + cert).options()
        return await self.listen(SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1"), Site())

    async def test_certificates(self) -> None:
        """The right certificate is well; a wrong one, or no TLS at all, is down, and the log says why."""
        (self.folder / "ca").mkdir()
        authority = Authority(self.folder / "ca")
        good = await self.secured(authority.issue("web.example", "127.0.0.1"))
        plain, _ = await self.target()
        trusted = {"ca": str(authority.file), "server_name": "web.example"}
        cases: dict[str, tuple[int, Any, str]] = {
            "good": (good, trusted, ""),
            "by-address": (good, {"ca": str(authority.file)}, ""),
            "any": (good, {"verify": False}, ""),
            "system": (good, True, "its certificate was not issued by a trusted authority"),
            "name": (
                good,
                {**trusted, "server_name": "other.example"},
                "its certificate is not for other.example",
            ),
            "plain": (plain, {"verify": False}, "no TLS with it: "),
        }
        for kind in BAD:
            cases[kind] = (
                await self.secured(bad_server(kind, authority, "web.example")),
                trusted,
                "its certificate ",
            )
        client = await self.open_client(
            await self.server(),
            *(
                self.mapping(port, name, health={**QUICK, "timeout": 5, "type": "http", "tls": tls})
                for name, (port, tls, _) in cases.items()
            ),
        )
        for name, (_, _, reason) in cases.items():
            if reason:
                await self.until_said(f"of mapping {name} is down: {reason}")
                await self.until_said(f"mapping {name} of client edge is down at")
            self.assertEqual(await self.refused(self.port_of(client, name)), bool(reason), name)
        self.assertEqual(
            [self.said(f"of mapping {name} is") for name in ("good", "by-address", "any")], [0, 0, 0]
        )
