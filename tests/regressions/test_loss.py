"""Processes that are stopped for a while, and paths that swallow everything.

Scale of the stopped processes: a tenth of the time. `heartbeat_timeout` is 3 s here for 30 s, and stops of 0.5, 2 and
4 s stand for 5, 20 and 40 s. Pings are closer than to scale (0.3 s), so that it does not matter at which moment between
two of them a process is stopped. With TEST_FULL_TIME=1 nothing is scaled, and the configuration has the default pace,
also where a path swallows everything.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from pathlib import Path

from tests.e2e.harness import RELAY, Program, TunnelTestCase, read_exactly
from tests.e2e.namespaces import machines
from tests.e2e.peers import Service, echo
from tests.processes import FULL_TIME

TIMEOUT = 30.0 if FULL_TIME else 3.0
STOPS = (5.0, 20.0, 40.0) if FULL_TIME else (0.5, 2.0, 4.0)
PACE = {} if FULL_TIME else {"heartbeat": 0.3, "heartbeat_timeout": TIMEOUT}
NOTICED = 30.0 if FULL_TIME else 1.2
"""`heartbeat_timeout` where a path swallows everything; the heartbeat is a third of it."""
SINK = """
import socket
listening = socket.create_server(("127.0.0.1", 7000))
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass
"""
SOURCE = """
import socket
visitor, count = socket.create_connection(("10.83.1.1", 8080)), 0
try:
    while True:
        visitor.sendall(bytes(65536))
        count += 1
        if count == 64:
            print("flows", flush=True)
except OSError:
    pass
"""
SLACK = 2.0
"""Seconds that a busy machine may take beyond a timeout."""


class LossTestCase(TunnelTestCase):
    """A tunnel with a visitor who streams."""

    def listeners(self, port: int, host: str | None = None) -> int:
        """Count the sockets that listen on a port of our address, or of another one."""
        address = socket.inet_aton(host or self.host)[::-1].hex().upper()
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1] == f"{address}:{port:04X}" and row[3] == "0A" for row in rows)

    def says(self, visitor: socket.socket, word: bytes) -> None:
        """The stream is alive."""
        visitor.sendall(word)
        self.assertEqual(read_exactly(visitor, len(word)), word)

    def last(self, seconds: float) -> None:
        """Let so much time pass."""
        began = time.monotonic()
        self.wait_until(lambda: time.monotonic() - began >= seconds, "the time")


class StoppedTests(LossTestCase):
    """SIGSTOP and SIGCONT."""

    def begin(self) -> tuple[Program, Program]:
        """Start both, and a visitor."""
        server, client, self.public = self.tunnel(Service(self, echo).address, **PACE)
        self.visitor = self.visit(self.public)
        self.says(self.visitor, b"before")
        return server, client

    def short_stops(self, stopped: Program, other: Program) -> None:
        """Stop for what is less than the timeout: nobody notices, and streams go on."""
        for seconds in STOPS[:2]:
            stopped.signal(signal.SIGSTOP)
            self.last(seconds)
            stopped.signal(signal.SIGCONT)
            self.says(self.visitor, b"%.1f" % seconds)
            self.assert_echo(self.public)
        for program in (stopped, other):
            self.assertEqual(program.count(r"\blost\b"), 0, program.said)

    def test_client(self) -> None:
        """A client that is stopped for 5 and 20 s keeps session and streams; after 40 s it comes back once, and its
        stream, which neither end has given up, goes on."""
        server, client = self.begin()
        self.short_stops(client, server)
        client.signal(signal.SIGSTOP)
        began = time.monotonic()
        server.wait_for(f"client client lost .*nothing was received for {TIMEOUT:g} s")
        self.assertLess(time.monotonic() - began, TIMEOUT + SLACK)
        self.assertEqual(self.listeners(self.public), 1)
        self.last(began + STOPS[2] - time.monotonic())
        waiting = self.visit(self.public)
        client.signal(signal.SIGCONT)
        server.wait_for("client client connected", 2)
        self.says(waiting, b"patience")
        self.says(self.visitor, b"after")
        self.assert_echo(self.public)
        self.assertEqual((self.listeners(self.public), server.count("mapping web of client client open")), (1, 1))
        self.assertEqual((client.count("connected to the server"), server.count(r"\blost\b")), (2, 1))

    def test_server(self) -> None:
        """A server that is stopped, likewise: after 40 s its client, which has given it up, comes back once."""
        server, client = self.begin()
        self.short_stops(server, client)
        server.signal(signal.SIGSTOP)
        began = time.monotonic()
        client.wait_for(f"connection to the server .* lost: nothing was received for {TIMEOUT:g} s")
        self.assertLess(time.monotonic() - began, TIMEOUT + SLACK)
        self.last(began + STOPS[2] - time.monotonic())
        server.signal(signal.SIGCONT)
        client.wait_for("mapping web open", 2)
        self.says(self.visitor, b"after")
        self.assert_echo(self.public)
        self.assertEqual((self.listeners(self.public), server.count("mapping web of client client open")), (1, 1))
        self.assertEqual((client.count("connected to the server"), client.count(r"\blost\b")), (2, 1))


class BlackHoleTests(LossTestCase):
    """Two machines that send to a hardware address that nobody has: no packet passes and no reset is sent. Both ends
    know within `heartbeat_timeout`, and afterwards there is one session and one listener."""

    def lost(self, *, busy: bool) -> None:
        """Start both roles, on a machine each; take the network away, and give it back."""
        near, far = machines(self, "10.83.1.1", "10.83.1.2")
        pace = {"heartbeat": NOTICED / 3, "heartbeat_timeout": NOTICED}
        section: dict[str, object] = {"addr": "10.83.1.1:17000", "token": self.token, **pace, **RELAY}
        path = self.write("server.yaml", {"server": section})
        server = self.role("server", ["--config", path], prefix=near.prefix)
        server.wait_for("server listening")
        self.launch("target", [*far.prefix, sys.executable, "-c", SINK]).wait_for("ready")
        section = {
            "name": "client",
            "token": self.token,
            "server_addr": "10.83.1.1:17000",
            "mappings": [{"name": "web", "local": "127.0.0.1:7000", "remote": "8080"}],
            **RELAY,
        }
        path = self.write("client.yaml", {"client": section})
        client = self.role("client", ["--config", path], prefix=far.prefix)
        client.wait_for("mapping web open")
        if busy:
            self.launch("visitor", [*near.prefix, sys.executable, "-c", SOURCE]).wait_for("flows")
        began = time.monotonic()
        for machine, other in ((near, far), (far, near)):
            machine.run("ip", "neigh", "replace", other.address, "lladdr", "02:00:00:00:00:01", "dev", "eth0")
        server.wait_for("client client lost")
        client.wait_for("connection to the server .* lost")
        self.assertLess(time.monotonic() - began, NOTICED + SLACK)
        for machine, other in ((near, far), (far, near)):
            machine.run("ip", "neigh", "del", other.address, "dev", "eth0")
        client.wait_for("mapping web open", 2)
        server.wait_for("client client connected", 2)
        self.assertEqual(server.count("mapping web of client client open"), 1)

    def test_nothing_under_way(self) -> None:
        """Nothing but pings is under way."""
        self.lost(busy=False)

    def test_unacknowledged(self) -> None:
        """An upload fills the path, and what is under way is never acknowledged."""
        self.lost(busy=True)
