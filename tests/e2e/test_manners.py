"""Services with manners of their own: one speaks first, one ends its direction first, one closes at once, and one asks
curl not to send what it would throw away."""

from __future__ import annotations

import hashlib
import os
import smtplib
import socket
import struct
import subprocess

from tests.e2e.harness import Program, TunnelTestCase, need, read_all, read_exactly
from tests.e2e.peers import Service
from tests.processes import DEADLINE

MIB = 1 << 20
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: a close is a reset."""


def read_head(connection: socket.socket) -> bytes:
    """Read the head of an HTTP request, and no byte of its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(connection, 1)
    return head


class MannersTests(TunnelTestCase):
    """Each on a TLS leg and on a plain one."""

    def publish(self, service: Service) -> tuple[Program, dict[str, int]]:
        """Publish a service twice; return the server and the public ports by the kind of their legs."""
        ports = {"tls": self.port(), "plain": self.port()}
        server = self.server(allow_plain_legs=True)
        self.client({kind: (service.address, port) for kind, port in ports.items()}, plain=["plain"])
        return server, ports

    def test_speaks_first(self) -> None:
        """A mail server's greeting reaches smtplib, which says nothing before it."""

        def smtp(connection: socket.socket) -> None:
            connection.sendall(b"220 mail.example ready\r\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    if line.upper() == b"QUIT\r\n":
                        connection.sendall(b"221 bye\r\n")
                        return
                    connection.sendall(b"250 " + line.strip() + b"\r\n")

        _, ports = self.publish(Service(self, smtp))
        for kind, port in ports.items():
            with smtplib.SMTP(timeout=DEADLINE) as mail:
                self.assertEqual(mail.connect(self.host, port), (220, b"mail.example ready"), kind)
                self.assertEqual(mail.noop(), (250, b"noop"))
                self.assertEqual(mail.quit(), (221, b"bye"))

    def test_half_closes_first(self) -> None:
        """A target ends its own direction at once and goes on reading: it gets all that a visitor sends after that."""
        digests: list[str] = []

        def deaf(connection: socket.socket) -> None:
            connection.sendall(b"I am all ears")
            connection.shutdown(socket.SHUT_WR)
            digests.append(hashlib.sha256(read_all(connection)).hexdigest())

        server, ports = self.publish(Service(self, deaf))
        self.wait_until(lambda: bool(digests), "the client's own look at the target of its plain mapping")
        digests.clear()
        for kind, port in ports.items():
            visitor = self.visit(port)
            self.assertEqual(read_all(visitor), b"I am all ears", kind)
            sent = os.urandom(4 * MIB)
            visitor.sendall(sent)
            visitor.shutdown(socket.SHUT_WR)
            self.wait_until(lambda: bool(digests), "the end at the target")
            self.assertEqual(digests.pop(), hashlib.sha256(sent).hexdigest(), kind)
            server.wait_for(f"visitor .* of {kind} ended: completed")

    def test_visitor_half_closes_first(self) -> None:
        """A visitor ends his direction before the target has said a word, and gets the whole answer."""
        answer = os.urandom(4 * MIB)

        def patient(connection: socket.socket) -> None:
            asked = read_all(connection)
            connection.sendall(asked + answer)

        _, ports = self.publish(Service(self, patient))
        for kind, port in ports.items():
            visitor = self.visit(port)
            visitor.sendall(b"well?")
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(visitor), b"well?" + answer, kind)

    def test_closes_at_once(self) -> None:
        """Visitors of a target that closes without a word see that, each of them; no leg is lost by it."""
        server, ports = self.publish(Service(self, lambda connection: None))
        for kind, port in ports.items():
            for _ in range(20):
                with self.visit(port) as visitor:
                    self.assertEqual(visitor.recv(1), b"", kind)
            server.wait_for(f"visitor .* of {kind} ended: completed", 20)
        self.assertEqual(server.count("leg_lost|protocol_error"), 0)

    def test_closes_on_one_who_speaks(self) -> None:
        """The same while visitors send: each sees a close or a reset, and the server forgets none of them."""
        server, ports = self.publish(Service(self, lambda connection: None))
        for kind, port in ports.items():
            for _ in range(20):
                with self.visit(port) as visitor:
                    try:
                        visitor.sendall(b"to nobody")
                        said = visitor.recv(1)
                    except (ConnectionResetError, BrokenPipeError):
                        continue
                    self.assertEqual(said, b"", kind)
            server.wait_for(f"visitor .* of {kind} ended: ", 20)
        self.assertEqual(server.count("leg_lost|protocol_error"), 0)

    def test_resets_at_once(self) -> None:
        """A target that aborts is no target that closes: its visitors are reset."""

        def rude(connection: socket.socket) -> None:
            read_exactly(connection, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

        server, ports = self.publish(Service(self, rude))
        for kind, port in ports.items():
            visitor = self.visit(port)
            visitor.sendall(b"!")
            self.assertRaises(ConnectionResetError, visitor.recv, 1)
            server.wait_for(f"visitor .* of {kind} ended: reset_by_target")


class ExpectTests(TunnelTestCase):
    """`Expect: 100-continue` with a target that takes its time, and with one that says no."""

    def upload(self, service: Service, *more: str) -> Program:
        """Start an upload of a mebibyte through a new tunnel; curl prints status and bytes sent when it is over."""
        _, _, public = self.tunnel(service.address)
        self.body = os.urandom(MIB)
        (self.folder / "body").write_bytes(self.body)
        words = [
            "--silent",
            "--show-error",
            "--header",
            "Expect: 100-continue",
            "--expect100-timeout",
            str(DEADLINE),
        ]
        words += ["--max-time", str(DEADLINE), "--write-out", "%{http_code} %{size_upload}", *more]
        return self.launch(
            "curl", [need("curl"), *words, "--upload-file", "body", f"http://{self.host}:{public}/"]
        )

    def test_waits_for_permission(self) -> None:
        """Not a byte of the body comes before the target has allowed it; then all of it comes."""
        seen: list[bytes] = []

        def careful(connection: socket.socket) -> None:
            seen.append(read_head(connection))
            connection.settimeout(0.3)
            try:
                seen.append(connection.recv(1))
            except TimeoutError:
                seen.append(b"nothing")
            connection.settimeout(DEADLINE)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            seen.append(read_exactly(connection, MIB))
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        curl = self.upload(Service(self, careful))
        self.assertEqual((curl.wait(), curl.said), (0, f"201 {MIB}"))
        self.assertIn(b"\r\nexpect: 100-continue\r\n", seen[0].lower())
        self.assertEqual(seen[1:], [b"nothing", self.body])

    def test_refused(self) -> None:
        """A target that refuses and closes spares the upload: curl has the answer, and has sent nothing."""

        def refusing(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big"
            )

        curl = self.upload(Service(self, refusing), "--output", "answer")
        self.assertEqual((curl.wait(), curl.said), (0, "413 0"))
        self.assertEqual((self.folder / "answer").read_text(), "too big")

    def test_chunked_from_a_pipe(self) -> None:
        """An upload whose length nobody knows, from a pipe that a test feeds, comes whole too."""
        seen: list[bytes] = []

        def chunked(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b""
            with connection.makefile("rb") as lines:
                while size := int(lines.readline(), 16):
                    body += lines.read(size)
                    lines.readline()
            seen.append(body)
            connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

        _, _, public = self.tunnel(Service(self, chunked).address)
        body = os.urandom(MIB)
        words = [
            "--silent",
            "--show-error",
            "--header",
            "Expect: 100-continue",
            "--expect100-timeout",
            str(DEADLINE),
        ]
        done = subprocess.run(
            [need("curl"), *words, "--write-out", "%{http_code}", "-T", "-", f"http://{self.host}:{public}/"],
            input=body,
            capture_output=True,
            env=self.environment(),
            timeout=DEADLINE,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"204", b""))
        self.assertEqual(seen, [body])
