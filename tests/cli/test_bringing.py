"""What `gotunnel dashboard` passes on between a browser and the admin socket: marked, or not at all."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.cli.running.bringing import LONGEST_LINE, Far, Near
from gotunnel.cli.running.dashboard import link_to
from tests.doubles import MemoryTransport

MARKED = b"GET /v1/status HTTP/1.1\r\ngotunnel-dashboard: 1\r\nHost: localhost\r\n\r\n"


class BringingTests(SynchronousTestCase):
    """One connection of a browser; `self.reactor` keeps the attempts to reach the process."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.dialled: list[Any] = []
        test = self

        class Reactor:
            def connectUNIX(self, path: str, factory: Any) -> None:
                test.dialled.append(factory)

        self.near = Near(Reactor(), "/run/x.sock")
        self.browser = MemoryTransport(self.clock)
        self.browser.protocol = self.near
        self.browser.connected = True
        self.near.makeConnection(self.browser)

    def reached(self) -> MemoryTransport:
        """The process is there: return what it hears."""
        (factory,) = self.dialled
        far: Far = factory.buildProtocol(None)
        transport = MemoryTransport(self.clock)
        transport.protocol = far
        far.makeConnection(transport)
        return transport

    def test_marked(self) -> None:
        """The mark is the first header, however the request comes in, and what follows goes on as it is."""
        request = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for at in (1, 10, 23, 24, 25, 26, len(request)):
            self.setUp()
            self.near.dataReceived(request[:at])
            self.near.dataReceived(request[at:])
            process = self.reached()
            self.assertEqual(process.value(), MARKED, at)
            self.near.dataReceived(b"more")
            self.assertEqual(process.value(), MARKED + b"more")
            process.protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
            self.assertEqual(self.browser.value(), b"HTTP/1.1 200 OK\r\n\r\n")
            process.lose()
            self.clock.advance(0)
            self.assertTrue(self.browser.lost)

    def test_nothing_else(self) -> None:
        """What does not begin with a request is not passed on: the process may read it in another way than we do."""
        for said in (
            b"\r\nGET / HTTP/1.1\r\n", b"GET / HTTP/1.1\nHost: x\r\n", b"GET /\r\n", b"GET  / HTTP/1.1\r\n",
            b"DELETE / HTTP/1.1\r\n", b" GET / HTTP/1.1\r\n", b"GET /a b HTTP/1.1\r\n", b"GET / HTTP/1.1 \r\n",
            b"PRI * HTTP/2.0\r\n", b"\x16\x03\x01\r\n", b"GET /" + b"a" * LONGEST_LINE,
        ):  # fmt: skip
            self.setUp()
            self.near.dataReceived(said)
            self.assertEqual((self.dialled, self.browser.aborted), ([], True), said[:30])

    def test_gone(self) -> None:
        """A browser that leaves takes the connection to the process with it, also one that is not there yet; when the
        process is gone the browser is let go."""
        self.near.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        process = self.reached()
        self.browser.lose()
        self.assertTrue(process.aborted)
        self.setUp()
        self.near.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.browser.connected = False
        self.browser.lose()
        self.assertTrue(self.reached().aborted)
        self.setUp()
        self.near.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.dialled[0].clientConnectionFailed(None, None)
        self.assertTrue(self.browser.closed)

    def test_link(self) -> None:
        """It leads where a browser can go, and the code is behind the #."""
        for addr, hosts, link in (
            (HostPort("127.0.0.1", 17080), ["a.example"], "http://127.0.0.1:17080/#code=x"),
            (HostPort("0.0.0.0", 17080), ["a.example"], "http://a.example:17080/#code=x"),
            (HostPort("::", 80), [], "http://127.0.0.1:80/#code=x"),
            (HostPort("::1", 80), [], "http://[::1]:80/#code=x"),
        ):  # fmt: skip
            self.assertEqual(link_to(addr, hosts, "x"), link)
