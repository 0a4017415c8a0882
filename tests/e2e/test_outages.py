"""Servers that are not there yet, or not any more; and two clients with one name."""

from __future__ import annotations

import time

from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo


class OutageTests(TunnelTestCase):
    """A client never gives up, and says what it waits for."""

    def test_client_first(self) -> None:
        """A client that is started before its server connects when that comes up."""
        service = Service(self, echo)
        public = self.port()
        client = self.client({"web": (service.address, public)}, ready=False)
        client.wait_for("not connected to the server .*refused.*; next try in", 2)
        self.server()
        client.wait_for("mapping web open")
        self.assert_echo(public)

    def test_server_down_for_a_while(self) -> None:
        """A server that is away for three seconds gets its client, its ports and its visitors back."""
        service = Service(self, echo)
        server, client, public = self.tunnel(service.address)
        self.assertEqual(server.stop(), 0)
        stopped = time.monotonic()
        client.wait_for("connection to the server .* lost")
        self.wait_until(lambda: time.monotonic() - stopped > 3, "three seconds")
        self.assertTrue(self.refused(public))
        self.assertIsNone(client.process.poll())
        self.server()
        client.wait_for("mapping web open", 2)
        self.assert_echo(public)

    def test_stopped_server_says_so(self) -> None:
        """A server that is stopped tells its clients, which is not the same as being lost."""
        server, client, _ = self.tunnel("127.0.0.1:9")
        self.assertEqual(server.stop(), 0)
        client.wait_for("connection to the server .* lost: .*going_away: the server stops")

    def test_target_down(self) -> None:
        """A visitor whose target does not listen is reset at once, both logs say why, and the next one is served."""
        service = Service(self, echo)
        port = self.port()
        server = self.server()
        ports = self.port(), self.port()
        client = self.client({"down": (f"127.0.0.1:{port}", ports[0]), "up": (service.address, ports[1])})
        visitor = self.visit(ports[0])
        self.assertRaises(ConnectionResetError, visitor.recv, 1)
        client.wait_for("visitor .* of down did not reach its target: .*connection refused")
        server.wait_for(r"visitor .* of down ended: refused")
        self.assert_echo(ports[1])


class OneNameTests(TunnelTestCase):
    """Two running clients that were given the same name."""

    def test_second_is_refused(self) -> None:
        """The server and the second client say what to do; the first client keeps its ports and does not notice."""
        service = Service(self, echo)
        server, client, public = self.tunnel(service.address)
        second = self.client({"web": ("127.0.0.1:9", public)}, ready=False)
        second.wait_for(
            "does not let this client in: .*name_in_use.*give each.* a name of (its|their) own.*; next try in"
        )
        server.wait_for("another running client calls itself client.*give each client a name of its own")
        self.assert_echo(public)
        self.assertEqual(client.count("lost|refused"), 0)
        # And when the first one goes, the second has its turn.
        self.assertEqual(client.stop(), 0)
        second.wait_for("mapping web open")
