"""A stream whose directions have both ended while its last bytes wait behind a full leg: an ending is no reset, and who
reads later gets all of it."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.harness import TunnelTestCase, read_all
from tests.e2e.peers import Service
from tests.processes import DEADLINE

PART = os.urandom(1 << 16)
STUCK = 0.3
"""Seconds after which bytes that nobody takes are taken to wait for room."""


def unread(near: tuple[str, int], far: tuple[str, int]) -> int:
    """Return how many bytes the kernel holds for the process whose socket is `near` and whose peer is `far`."""

    def word(address: tuple[str, int]) -> str:
        return f"{socket.inet_aton(address[0])[::-1].hex().upper()}:{address[1]:04X}"

    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1:3] == [word(near), word(far)]:
            return int(columns[4].partition(":")[2], 16)
    return 0


def fill(sock: socket.socket) -> str:
    """Send until the process behind the other end stops reading, while its kernel still takes all; then end our
    direction, which its kernel takes too. Return the SHA-256 of what was sent."""
    sent = hashlib.sha256()
    ends = sock.getpeername(), sock.getsockname()
    while True:
        sock.sendall(PART)
        sent.update(PART)
        since = time.monotonic()
        while unread(*ends):
            if time.monotonic() - since > STUCK:
                sock.shutdown(socket.SHUT_WR)
                return sent.hexdigest()
            time.sleep(0.001)


class LastBytesTests(TunnelTestCase):
    """Each on a TLS leg and on a plain one, in either direction."""

    def publish(self, serve: Callable[[socket.socket], None]) -> dict[str, int]:
        """Publish a service twice; return the public ports by the kind of their legs."""
        service = Service(self, serve)
        ports = {"tls": self.port(), "plain": self.port()}
        self.server_process = self.server(allow_plain_legs=True)
        self.client({kind: (service.address, port) for kind, port in ports.items()}, plain=["plain"])
        return ports

    def test_upload(self) -> None:
        """A target that has ended its own direction begins to read when the visitor has ended his."""
        go: queue.SimpleQueue[bool] = queue.SimpleQueue()
        digests: queue.SimpleQueue[str] = queue.SimpleQueue()

        def late(connection: socket.socket) -> None:
            connection.shutdown(socket.SHUT_WR)
            go.get(timeout=DEADLINE)
            digests.put(hashlib.sha256(read_all(connection)).hexdigest())

        ports = self.publish(late)
        go.put(True)  # for the client's own look at the target of its plain mapping
        digests.get(timeout=DEADLINE)
        for kind, port in ports.items():
            visitor = self.visit(port)
            self.assertEqual(visitor.recv(1), b"")
            sent = fill(visitor)
            go.put(True)
            self.assertEqual(digests.get(timeout=DEADLINE), sent, kind)
            self.server_process.wait_for(f"visitor .* of {kind} ended: completed")

    def test_download(self) -> None:
        """A visitor who has ended his own direction begins to read when the target has closed."""
        digests: queue.SimpleQueue[str] = queue.SimpleQueue()

        def generous(connection: socket.socket) -> None:
            read_all(connection)
            digests.put(fill(connection))

        for kind, port in self.publish(generous).items():
            visitor = self.visit(port)
            visitor.shutdown(socket.SHUT_WR)
            sent = digests.get(timeout=DEADLINE)
            self.assertEqual(hashlib.sha256(read_all(visitor)).hexdigest(), sent, kind)
            self.server_process.wait_for(f"visitor .* of {kind} ended: completed")
