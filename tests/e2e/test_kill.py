"""A process killed in the middle of a transfer: both ends of the stream see a reset, never a clean end of less."""

from __future__ import annotations

import socket
import subprocess

from gotunnel.net.sockets import set_keepalive
from tests.e2e.harness import Program, TunnelTestCase, need, read_exactly
from tests.e2e.peers import Service, echo
from tests.e2e.streams import Pump, source
from tests.processes import DEADLINE

MIB = 1 << 20
ENDLESS = 1 << 40
ENOUGH = 4 * MIB
"""That much has flowed when the process is killed, so that it flows."""


class Taker:
    """Takes an upload as services do that care whether the other side is still there. A reset is sent once, and one
    that does not fit the window to the byte (RFC 5961) is only questioned, at a limited rate: who never sends
    anything may never hear of it."""

    def __init__(self) -> None:
        self.taken = 0
        """Bytes: what a visitor has sent may all be in the kernels ahead of the tunnel."""

    def serve(self, connection: socket.socket) -> None:
        """Take all of it."""
        set_keepalive(connection)
        while data := connection.recv(1 << 16):
            self.taken += len(data)


class KillTests(TunnelTestCase):
    """kill -9, of either role, in either direction, seen from either end."""

    def victim(self, role: str, server: Program, client: Program) -> Program:
        return server if role == "server" else client

    def download(self, role: str, **keys: object) -> None:
        """Kill a role while a target sends to a visitor."""
        target = Service(self, source(ENDLESS))
        server, client, public = self.tunnel(target.address)
        visitor = Pump(self, self.visit(public)).read()
        self.wait_until(lambda: visitor.moved > ENOUGH, "a download that flows")
        self.victim(role, server, client).kill()
        self.assertIsInstance(visitor.wait(), ConnectionResetError)
        self.wait_until(lambda: bool(target.endings), "the end at the target")
        self.assertIsInstance(target.endings[0], ConnectionResetError)

    def upload(self, role: str) -> None:
        """Kill a role while a visitor sends to a target."""
        taker = Taker()
        target = Service(self, taker.serve)
        server, client, public = self.tunnel(target.address)
        visitor = Pump(self, self.visit(public)).write(ENDLESS)
        self.wait_until(lambda: taker.taken > ENOUGH, "an upload that flows")
        self.victim(role, server, client).kill()
        self.assertIsInstance(visitor.wait(), ConnectionResetError)
        self.wait_until(lambda: bool(target.endings), "the end at the target")
        self.assertIsInstance(target.endings[0], ConnectionResetError)

    def test_server_in_download(self) -> None:
        """The server's kernel resets the visitor, and the client the target."""
        self.download("server")

    def test_client_in_download(self) -> None:
        """The client's kernel resets the target, and the server the visitor."""
        self.download("client")

    def test_server_in_upload(self) -> None:
        """A target never takes half of an upload for all of it."""
        self.upload("server")

    def test_client_in_upload(self) -> None:
        """The same when the client dies."""
        self.upload("client")

    def curl(self, role: str) -> None:
        """Kill a role while curl loads what has no length, whose end only the connection tells."""

        def page(connection: socket.socket) -> None:
            while read_exactly(connection, 1) != b"\n":
                pass
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            source(ENDLESS)(connection)

        target = Service(self, page)
        server, client, public = self.tunnel(target.address)
        taken = self.folder / "taken"
        loading = self.launch(
            "curl",
            [
                need("curl"),
                "--silent",
                "--show-error",
                "--http1.0",
                "-o",
                taken,
                f"http://{self.host}:{public}/",
            ],
        )
        self.wait_until(lambda: taken.exists() and taken.stat().st_size > ENOUGH, "a download that flows")
        self.victim(role, server, client).kill()
        self.assertEqual(loading.wait(), 56, loading.said)

    def test_curl_and_server(self) -> None:
        """curl does not take it for a complete page (its exit code would be 0)."""
        self.curl("server")

    def test_curl_and_client(self) -> None:
        """The same when the client dies."""
        self.curl("client")

    def test_paused_visitor(self) -> None:
        """A visitor who was not reading when the client died finds the reset behind what had arrived."""
        target = Service(self, source(ENDLESS))
        _, client, public = self.tunnel(target.address)
        sock = self.visit(public)
        self.wait_until(lambda: len(sock.recv(1 << 16, socket.MSG_PEEK)) > 10_000, "a download that flows")
        client.kill()
        self.assertIsInstance(Pump(self, sock).read().wait(), ConnectionResetError)


class RestartTests(TunnelTestCase):
    """What comes back after a kill."""

    def test_client_again(self) -> None:
        """A new client with the name of a killed one gets its port at once; a visitor in between has waited for it."""
        service = Service(self, echo)
        server, client, public = self.tunnel(service.address)
        self.assert_echo(public)
        client.kill()
        server.wait_for("client client lost")
        waiting = self.visit(public)
        waiting.sendall(b"waited")
        server.wait_for("visitor .* connected to web", 2)
        self.client({"web": (service.address, public)})
        self.assertEqual(read_exactly(waiting, 6), b"waited")
        self.assert_echo(public)

    def test_client_again_and_again(self) -> None:
        """Three kills in a row leave the port usable: no old session undoes a new one."""
        service = Service(self, echo)
        _, client, public = self.tunnel(service.address)
        for _ in range(3):
            client.kill()
            client = self.client({"web": (service.address, public)})
            self.assert_echo(public)

    def test_server_again(self) -> None:
        """The client notices that the server is gone, and comes back to the next one by itself."""
        service = Service(self, echo)
        server, client, public = self.tunnel(service.address)
        self.assert_echo(public)
        server.kill()
        client.wait_for("connection to the server .* lost: .*; next try in")
        self.assertTrue(self.refused(public))
        self.server()
        client.wait_for("mapping web open", 2)
        self.assert_echo(public)

    def test_stuck_client(self) -> None:
        """A client that is stopped (and whose kernel still answers) gives way to a new one with its name."""
        service = Service(self, echo)
        server, client, public = self.tunnel(service.address)
        subprocess.run(["kill", "-STOP", str(client.pid)], check=True, timeout=DEADLINE)
        self.client({"web": (service.address, public)})
        server.wait_for("client client connected .* replacing an older session")
        self.assert_echo(public)
