"""HTTP/2 through the tunnel: nginx and curl share one connection, and so one leg, for many streams."""

from __future__ import annotations

import hashlib
import os
import queue
import re
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import Program, TunnelTestCase, need, read_exactly
from tests.e2e.peers import Service, authority, nginx
from tests.e2e.services import silence
from tests.processes import DEADLINE

MIB = 1 << 20
PAGES = 20


class Events:
    """A target whose answer has no end until the test says so: `say` sends a line of it."""

    def __init__(self, case: TunnelTestCase) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.address = Service(case, self._serve).address
        case.addCleanup(self.end)

    def say(self, line: str) -> None:
        self._lines.put(line)

    def end(self) -> None:
        self._lines.put(None)

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read_exactly(connection, 1)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while (line := self._lines.get()) is not None:
            connection.sendall(f"data: {line}\n\n".encode())


class Http2Tests(TunnelTestCase):
    """One nginx with TLS of its own, behind one mapping."""

    def setUp(self) -> None:
        super().setUp()
        self.curl_path = need("curl")
        version = subprocess.run(
            [self.curl_path, "--version"], capture_output=True, text=True, check=True
        ).stdout
        if "HTTP2" not in version:
            raise SkipTest("this curl knows no HTTP/2: apt install curl")
        self.events = Events(self)
        self.ca, certificate, key = authority(self.folder / "pki", self.host)
        upstream = self.port()
        block = f"""\
  server {{
    listen {self.host}:{upstream} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location /put/ {{ dav_methods PUT; create_full_put_path on; }}
    location /events {{ proxy_pass http://{self.events.address}; proxy_buffering off; }}
  }}"""
        nginx(self, block)
        self.wait_until(lambda: not self.refused(upstream), "nginx")
        self.www = self.folder / "nginx" / "www"
        self.server_process, self.client_process, self.public = self.tunnel(
            f"{self.host}:{upstream}", heartbeat=0.2, heartbeat_timeout=0.6
        )
        self.url = f"https://{self.host}:{self.public}"

    def curl(self, *arguments: str) -> Program:
        """Start curl, which prints HTTP version, status and new connections of each transfer when it is over."""
        words = ["--silent", "--show-error", "--http2", "--parallel", "--no-buffer", "--cacert", str(self.ca)]
        figures = ["--write-out", "\nHTTP/%{http_version} %{http_code} on %{num_connects} new\n"]
        return self.launch("curl", [self.curl_path, *words, *figures, *arguments])

    def assert_one_connection(self, curl: Program, expected: list[str]) -> None:
        """curl ends well, all of its transfers were HTTP/2, and only one of them opened a connection."""
        self.assertEqual(curl.wait(), 0, curl.said)
        figures = re.findall(r"^(HTTP/\S+ \d+) on (\d+) new$", curl.said, re.MULTILINE)
        self.assertEqual([what for what, _ in figures], expected)
        self.assertEqual(sum(int(new) for _, new in figures), 1)
        self.server_process.wait_for("visitor .* ended: completed")
        self.assertEqual(self.server_process.count("visitor .* connected to web"), 1)

    def wait_for_text(self, path: Path, text: str) -> None:
        self.wait_until(lambda: path.read_text() == text, f"{text!r} in {path.name}")

    def test_parallel_streams(self) -> None:
        """Twenty pages of a mebibyte pass a stream that stays open beside them and brings a line now and then."""
        pages = [os.urandom(MIB) for _ in range(PAGES)]
        for number, page in enumerate(pages):
            (self.www / f"page{number}").write_bytes(page)
        got = self.folder / "got"
        curl = self.curl(
            *("--create-dirs", "--output", "got/events", f"{self.url}/events"),
            *("--output", "got/page#1", f"{self.url}/page[0-{PAGES - 1}]"),
        )
        self.events.say("0")
        expected = "data: 0\n\n"

        def loaded() -> bool:
            files = [got / f"page{number}" for number in range(PAGES)]
            whole = all(file.exists() and file.stat().st_size == MIB for file in files)
            return (whole and (got / "events").exists()) or curl.process.poll() is not None

        self.wait_until(loaded, "the pages")
        for number, page in enumerate(pages):
            self.assertEqual((got / f"page{number}").read_bytes(), page, f"page {number}")
        for line in ("1", "2", "3"):
            silence(self, 1)
            self.assertEqual((got / "events").read_text(), expected)
            self.events.say(line)
            expected += f"data: {line}\n\n"
            self.wait_for_text(got / "events", expected)
        self.assertIsNone(curl.process.poll())
        self.events.end()
        self.assert_one_connection(curl, ["HTTP/2 200"] * (PAGES + 1))
        self.assertEqual((got / "events").read_text(), expected)
        lost = self.server_process.count("client client lost") + self.client_process.count(
            "the server .* lost"
        )
        self.assertEqual(lost, 0)

    def test_parallel_uploads(self) -> None:
        """Eight uploads of four mebibytes, interleaved on one connection, arrive each the same."""
        wanted = {}
        for number in range(8):
            body = os.urandom(4 * MIB)
            (self.folder / f"up{number}").write_bytes(body)
            wanted[f"up{number}"] = hashlib.sha256(body).hexdigest()
        curl = self.curl("--max-time", str(DEADLINE), "--upload-file", "up[0-7]", f"{self.url}/put/")
        self.assert_one_connection(curl, ["HTTP/2 201"] * 8)
        arrived = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.www / "put").iterdir()
        }
        self.assertEqual(arrived, wanted)
