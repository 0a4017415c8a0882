"""HTTP as it is in the field: nginx behind the tunnel, curl in front of it."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.harness import Program, TunnelTestCase, need, read_all, read_exactly
from tests.e2e.peers import Service, authority, nginx
from tests.processes import DEADLINE

MIB = 1 << 20

LONG = 120
"""Seconds for a long transfer on a busy machine."""


class HttpTests(TunnelTestCase):
    """One nginx behind one mapping."""

    def publish(self, more: str = "", listen: str = "", **keys: Any) -> tuple[Program, int]:
        """Start all; return the server and the public port, when the first page has come."""
        self.curl_path = need("curl")
        upstream = self.port()
        nginx(
            self,
            f"  server {{ listen {self.host}:{upstream}{listen}; location = /up {{ return 204; }}\n{more} }}",
        )
        self.wait_until(lambda: not self.refused(upstream), "nginx")
        server, _, public = self.tunnel(f"{self.host}:{upstream}", **keys)
        self.www = self.folder / "nginx" / "www"
        return server, public

    def curl(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [self.curl_path, "--silent", "--show-error", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def make(self, path: Path, mebibytes: int) -> str:
        """Write a file of random bytes and holes; return its SHA-256."""
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for number in range(mebibytes):
                part = os.urandom(MIB) if number % 4 == 0 else bytes(MIB)
                digest.update(part)
                if number % 4 == 0 or number == mebibytes - 1:
                    file.write(part)
                else:
                    file.seek(MIB, os.SEEK_CUR)
        return digest.hexdigest()

    def test_download(self) -> None:
        """256 MiB come whole."""
        _, public = self.publish()
        wanted = self.make(self.www / "large", 256)
        digest = hashlib.sha256()
        with subprocess.Popen(
            [self.curl_path, "--silent", "--show-error", f"http://{self.host}:{public}/large"],
            stdout=subprocess.PIPE,
            env=self.environment(),
        ) as process:
            self.addCleanup(process.kill)
            assert process.stdout is not None
            while part := process.stdout.read(MIB):
                digest.update(part)
        self.assertEqual((process.returncode, digest.hexdigest()), (0, wanted))

    def test_upload(self) -> None:
        """64 MiB arrive whole, after the target has been asked with `Expect: 100-continue` and has said yes."""
        _, public = self.publish("location /put/ { dav_methods PUT; create_full_put_path on; }")
        wanted = self.make(self.folder / "upload", 64)
        trace = self.folder / "trace"
        self.curl(
            *("--header", "Expect: 100-continue", "--expect100-timeout", str(DEADLINE)),
            *(
                "--trace-ascii",
                str(trace),
                "--upload-file",
                "upload",
                f"http://{self.host}:{public}/put/upload",
            ),
        )
        self.assertIn("100 Continue", trace.read_text(errors="replace"))
        self.assertEqual(hashlib.sha256((self.www / "put" / "upload").read_bytes()).hexdigest(), wanted)

    def test_many_at_once(self) -> None:
        """200 requests side by side: each gets its own page."""
        server, public = self.publish()
        pages = [os.urandom(20_000) for _ in range(200)]
        for number, page in enumerate(pages):
            (self.www / str(number)).write_bytes(page)
        (self.folder / "got").mkdir()
        self.curl(
            *("--parallel", "--parallel-immediate", "--parallel-max", "200", "--fail"),
            *("--output", "got/#1", f"http://{self.host}:{public}/[0-199]"),
        )
        for number, page in enumerate(pages):
            self.assertEqual((self.folder / "got" / str(number)).read_bytes(), page, number)
        self.assertGreater(server.count("visitor .* connected to web"), 100)

    def test_keep_alive(self) -> None:
        """Three requests of one curl share one connection: one visitor."""
        server, public = self.publish()
        url = f"http://{self.host}:{public}/up"
        before = server.count("visitor .* connected to web")
        said = self.curl("--write-out", "%{http_code} %{num_connects}\n", url, url, url)
        self.assertEqual(said, "204 1\n204 0\n204 0\n")
        server.wait_for("visitor .* ended: completed", before + 1)
        self.assertEqual(server.count("visitor .* connected to web"), before + 1)

    def test_certificate(self) -> None:
        """HTTPS of the target's own passes untouched: curl verifies its certificate, and refuses a stranger's."""
        ca, certificate, key = authority(self.folder / "pki", self.host)
        stranger, _, _ = authority(self.folder / "stranger", self.host, name="stranger")
        _, public = self.publish(f"ssl_certificate {certificate}; ssl_certificate_key {key};", " ssl")
        url = f"https://{self.host}:{public}/up"
        said = self.curl("--cacert", str(ca), "--write-out", "%{http_code} %{ssl_verify_result}", url)
        self.assertEqual(said, "204 0")
        self.curl("--cacert", str(stranger), url, code=60)

    def test_upgrade(self) -> None:
        """A connection that was upgraded carries frames both ways, and either side may speak first."""

        def upgraded(connection: socket.socket) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += read_exactly(connection, 1)
            assert b"upgrade: frames" in head.lower()
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: frames\r\n\r\n"
            )
            connection.sendall(b"\0\5hello")
            while size := int.from_bytes(read_exactly(connection, 2), "big"):
                frame = read_exactly(connection, size)
                connection.sendall((len(frame) + 1).to_bytes(2, "big") + b">" + frame)
            connection.sendall(b"\0\3bye")

        service = Service(self, upgraded)
        headers = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
        _, public = self.publish(
            f"location /ws {{ proxy_pass http://{service.address}; proxy_http_version 1.1; {headers} }}"
        )
        with self.visit(public) as visitor:
            visitor.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: frames\r\n\r\n")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += read_exactly(visitor, 1)
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
            self.assertEqual(read_exactly(visitor, 7), b"\0\5hello")
            for number in range(50):
                frame = bytes([number]) * (1 + number * 40)
                visitor.sendall(len(frame).to_bytes(2, "big") + frame)
                answer = read_exactly(visitor, 3 + len(frame))
                self.assertEqual(answer, (len(frame) + 1).to_bytes(2, "big") + b">" + frame)
            visitor.sendall(b"\0\0")
            self.assertEqual(read_all(visitor), b"\0\3bye")
