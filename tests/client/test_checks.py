"""What the probes of a target say and what they make of its answers; the network is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gotunnel.client.checks import MOST_HEAD, HttpCheck, TcpCheck, check_for
from gotunnel.config.model import MappingConfig
from gotunnel.errors import DialFailed, GotunnelError
from gotunnel.interfaces import IHealthCheck
from gotunnel.net import target
from gotunnel.net.ipendpoint import IpEndpoint
from gotunnel.net.tls import TlsFilesError
from gotunnel.wire.proxyheader import proxy_header_of_nobody


class Transport(StringTransport):
    """Remembers how it was closed."""

    closed = ""

    def loseConnection(self) -> None:
        self.closed = self.closed or "closed"

    def abortConnection(self) -> None:
        self.closed = self.closed or "aborted"


class CheckTestCase(SynchronousTestCase):
    """A test with a reactor in memory."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def check(self, local: Any = "127.0.0.1:8000", proxied: str = "off", **health: Any) -> Any:
        """Return the check of a mapping."""
        fields = {"name": "web", "local": local, "remote": 1, "proxy_protocol": proxied, "health": health}
        return check_for(self.reactor, MappingConfig.model_validate(fields))

    def probe(self, check: Any) -> tuple[Deferred[None], Any, Transport]:
        """Begin a probe whose connection stands; return it, our protocol and our transport."""
        probing = check.probe()
        factory = self.reactor.tcpClients[-1][2]
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 8000))
        transport = Transport()
        transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(transport)
        return probing, protocol, transport


class TcpTests(CheckTestCase):
    """The probe by connecting."""

    def test_contract(self) -> None:
        """Both are health checks."""
        for kind in ("tcp", "http"):
            self.assertTrue(verifyObject(IHealthCheck, self.check(type=kind)))

    def test_well(self) -> None:
        """Connected is well; the connection is closed in order, and nothing was said on it."""
        check = self.check()
        self.assertIsInstance(check, TcpCheck)
        probing, _, transport = self.probe(check)
        self.assertIsNone(self.successResultOf(probing))
        self.assertEqual((transport.value(), transport.closed), (b"", "closed"))

    def test_proxied(self) -> None:
        """A target that expects the PROXY protocol gets the header of a connection without a visitor, in its
        version."""
        for version, header in (("v1", b"PROXY UNKNOWN\r\n"), ("v2", proxy_header_of_nobody("v2"))):
            probing, _, transport = self.probe(self.check(proxied=version))
            self.assertIsNone(self.successResultOf(probing))
            self.assertEqual((transport.value(), transport.closed), (header, "closed"))

    def test_refused(self) -> None:
        """A refusal is one, in our words."""
        probing = self.check().probe()
        connector = self.reactor.connectors[0]
        self.reactor.tcpClients[0][2].clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
        self.assertEqual(
            str(self.failureResultOf(probing, DialFailed).value), "127.0.0.1:8000: connection refused"
        )

    def test_given_up(self) -> None:
        """Cancelled while it connects, it stops connecting."""
        probing = self.check().probe()
        probing.cancel()
        self.failureResultOf(probing)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)


class HttpTests(CheckTestCase):
    """The probe by a GET."""

    def test_proxied(self) -> None:
        """The header comes ahead of the request, and ahead of TLS; an answer of 400 to it is explained."""
        for tls, begins in ((False, b"GET / HTTP/1.1\r\n"), ({"verify": False}, b"\x16\x03")):
            _, _, transport = self.probe(self.check(type="http", proxied="v1", tls=tls))
            self.assertTrue(transport.value().startswith(b"PROXY UNKNOWN\r\n" + begins), transport.value())
        for proxied, said in (("v2", "perhaps it does not expect the PROXY protocol"), ("off", "instead of 200-399")):
            probing, _, transport = self.probe(self.check(type="http", proxied=proxied))
            transport.protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[attr-defined]
            self.assertIn(said, str(self.failureResultOf(probing, GotunnelError).value))
        probing, _, transport = self.probe(self.check(type="http", proxied="v2", status="400"))
        transport.protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[attr-defined]
        self.assertIsNone(self.successResultOf(probing))

    def answered(
        self, *data: bytes, then: Exception | None = None, **health: Any
    ) -> tuple[Deferred[None], Transport]:
        """Return a probe that got these bytes, and the end if there is one."""
        probing, protocol, transport = self.probe(self.check(type="http", **health))
        for each in data:
            protocol.dataReceived(each)
        if then is not None:
            protocol.connectionLost(Failure(then))
        return probing, transport

    def test_request(self) -> None:
        """One request of the strict form; the host is the target's unless another is named."""
        self.patch(target, "UnixEndpoint", lambda reactor, path, timeout: IpEndpoint(reactor, path, 0, timeout))
        for local, health, first, host in (
            ("127.0.0.1:8000", {}, "GET / HTTP/1.1", "127.0.0.1:8000"),
            ("10.0.0.9:80", {"path": "/healthz?full=1"}, "GET /healthz?full=1 HTTP/1.1", "10.0.0.9"),
            ("[::1]:80", {}, "GET / HTTP/1.1", "[::1]"),
            ("[fe80::1%eth0]:81", {}, "GET / HTTP/1.1", "[fe80::1]:81"),
            ("127.0.0.1:8000", {"host": "web.example:81"}, "GET / HTTP/1.1", "web.example:81"),
            ("unix:/run/web.sock", {}, "GET / HTTP/1.1", "localhost"),
        ):
            self.reactor = MemoryReactorClock()
            _, _, transport = self.probe(self.check(local, type="http", **health))
            head, end, rest = transport.value().decode().partition("\r\n\r\n")
            lines = head.split("\r\n")
            self.assertEqual((lines[0], end, rest), (first, "\r\n\r\n", ""))
            self.assertIn(f"Host: {host}", lines)
            self.assertIn("Connection: close", lines)

    def test_statuses(self) -> None:
        """The status decides."""
        for status, health, well in (
            ("200 OK", {}, True),
            ("204", {}, True),
            ("302 Found", {}, True),
            ("399 x", {}, True),
            ("400 Bad", {}, False),
            ("503 Down", {}, False),
            ("503 Down", {"status": 503}, True),
            ("200 OK", {"status": [204, "300-302"]}, False),
            ("301 Moved", {"status": [204, "300-302"]}, True),
            ("303 See", {"status": [204, "300-302"]}, False),
        ):
            probing, transport = self.answered(f"HTTP/1.1 {status}\r\nA: b\r\n\r\nbody".encode(), **health)
            if well:
                self.assertIsNone(self.successResultOf(probing), status)
            else:
                said = str(self.failureResultOf(probing, GotunnelError).value)
                self.assertIn(f"status {status[:3]} instead of ", said)
            self.assertEqual(transport.closed, "closed")

    def test_in_pieces(self) -> None:
        """It does not matter how an answer is cut, nor that interim answers come ahead of it or a body behind it."""
        words = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\nA: b\r\n\r\n"
        for pieces in ([words], [bytes([byte]) for byte in words], [words[:40], words[40:] + b"x" * 100_000]):
            probing, _ = self.answered(*pieces)
            self.assertIsNone(self.successResultOf(probing))
        probing, _ = self.answered(words[:-1])
        self.assertNoResult(probing)

    def test_not_http(self) -> None:
        """What is no HTTP is known from its first bytes."""
        for words in (
            b"SSH-2.0-OpenSSH",
            b"\x15\x03\x01",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
            b"HTTP/1.1 999 x\r\n\r\n",
            b"HTTP/1.1  200 x\r\n\r\n",
            b"HTTP/1.2 200 x\r\n\r\n",
            b"HTTP/1.1 200 x\n\r\n\r\n",
            b"http/1.1 200 x\r\n\r\n",
            b"\r\n\r\n",
        ):
            probing, transport = self.answered(words)
            said = str(self.failureResultOf(probing, GotunnelError).value)
            self.assertEqual(said, "its answer is not HTTP/1.1", words)
            self.assertTrue(transport.closed)

    def test_long_head(self) -> None:
        """A head without end is cut, and so are interim answers without end."""
        for begin, more in ((b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")):
            probing, protocol, transport = self.probe(self.check(type="http"))
            protocol.dataReceived(begin)
            sent = 0
            while not transport.closed and sent < 2 * MOST_HEAD:
                protocol.dataReceived(more)
                sent += len(more)
            self.assertIn("longer than 16384 bytes", str(self.failureResultOf(probing, GotunnelError).value))
            self.assertLess(sent, MOST_HEAD + 100)
            protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")

    def test_closed_early(self) -> None:
        """A connection that ends ahead of the head's end is no answer."""
        for data in (b"", b"HTTP/1.1 200 OK\r\nA: b\r\n"):
            for reason in (ConnectionDone(), ConnectionLost()):
                probing, _ = self.answered(data, then=reason)
                self.assertIn(
                    "closed the connection", str(self.failureResultOf(probing, GotunnelError).value)
                )

    def test_end_behind_answer(self) -> None:
        """How the connection ends after the answer changes nothing."""
        probing, _ = self.answered(b"HTTP/1.1 200 OK\r\n\r\n", then=ConnectionLost())
        self.assertIsNone(self.successResultOf(probing))

    def test_given_up(self) -> None:
        """Cancelled while it waits for an answer, the connection is aborted, and what still comes is ignored."""
        probing, protocol, transport = self.probe(self.check(type="http"))
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        self.assertEqual(transport.closed, "aborted")
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
        protocol.connectionLost(Failure(ConnectionLost()))

    def test_tls_files(self) -> None:
        """What cannot be used for TLS is told when the check is made, in one line."""
        path = Path(self.mktemp())
        path.write_text("nothing")
        for tls in ({"ca": str(path.absolute())}, {"server_name": "a..example"}):
            refused = self.assertRaises(TlsFilesError, self.check, type="http", tls=tls)
            self.assertNotIn("\n", str(refused))
        self.assertIsInstance(
            self.check(type="http", tls={"verify": False, "server_name": "a..example"}), HttpCheck
        )
