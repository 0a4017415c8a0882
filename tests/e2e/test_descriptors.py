"""Processes that run out of file descriptors: those who are served do not notice, the others wait, one line says so,
and when there are descriptors again all goes on."""

from __future__ import annotations

import os
import resource
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.harness import Program, TunnelTestCase, read_exactly
from tests.e2e.peers import Service, echo

TICK = os.sysconf("SC_CLK_TCK")
OUT = r"\[error\]\[\d+\] out of file descriptors"


def cpu(program: Program) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def open_files(program: Program) -> int:
    """Return how many descriptors a process has."""
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def limited(hard: int) -> tuple[str, ...]:
    """Return what begins a command that may have so many descriptors."""
    return "sh", "-c", f'ulimit -Sn {hard}; ulimit -Hn {hard}; exec "$@"', "sh"


class DescriptorTests(TunnelTestCase):
    """`prlimit` below what is in use, and back."""

    def round_trip(self, visitor: socket.socket, text: bytes) -> None:
        """What is sent comes back."""
        visitor.sendall(text)
        self.assertEqual(read_exactly(visitor, len(text)), text)

    def limit(self, program: Program, soft: int) -> None:
        """Set the soft limit of a running process."""
        _, hard = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def busy(self, program: Program, seconds: float, streaming: socket.socket) -> float:
        """Return which part of a processor a process takes while one visitor echoes a little."""
        began, used = time.monotonic(), cpu(program)
        while time.monotonic() - began < seconds:
            self.round_trip(streaming, b"still here")
            time.sleep(0.05)
        return (cpu(program) - used) / (time.monotonic() - began)

    def test_server(self) -> None:
        """The server, with either relay: visitors and clients wait in the kernel's queue; heartbeats go on."""
        for relay in ("fast", "portable"):
            with self.subTest(relay=relay):
                self.control = self.port()
                target = Service(self, echo)
                server = self.server(name=f"server-{relay}", relay=relay, heartbeat=0.3, heartbeat_timeout=1.5)
                public = self.port()
                client = self.client({"web": (target.port, public)}, name=f"client-{relay}", relay=relay)
                streaming = self.visit(public)
                self.round_trip(streaming, b"first")
                before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0]
                self.limit(server, 12)
                waiting = [self.visit(public) for _ in range(20)]
                strangers = [self.visit(self.control) for _ in range(20)]
                server.wait_for(OUT, 2)
                lines = len(server.said.splitlines())
                used = self.busy(server, 3.0, streaming)
                self.assertLess(used, 0.2)
                self.assertLessEqual(len(server.said.splitlines()) - lines, 20, server.said)
                self.assertEqual(server.count(OUT), 2)
                for visitor in waiting:
                    visitor.sendall(b"patience")
                self.limit(server, before)
                for visitor in waiting:
                    self.assertEqual(read_exactly(visitor, 8), b"patience")
                self.round_trip(streaming, b"last")
                self.assertEqual((server.count("lost"), client.count("lost")), (0, 0))
                for each in (*waiting, *strangers, streaming):
                    each.close()
                client.stop()
                server.stop()

    def test_client(self) -> None:
        """The client, with either relay: who is served goes on, new visitors are refused or wait for a leg, and both
        ends say why; it is over at once."""
        for relay in ("fast", "portable"):
            with self.subTest(relay=relay):
                self.control = self.port()
                target = Service(self, echo)
                server = self.server(name=f"server-{relay}", relay=relay, heartbeat=0.3, heartbeat_timeout=1.5)
                public = self.port()
                client = self.client({"web": (target.port, public)}, name=f"client-{relay}", relay=relay)
                streaming = self.visit(public)
                self.round_trip(streaming, b"first")
                before = resource.prlimit(client.pid, resource.RLIMIT_NOFILE)[0]
                self.limit(client, 12)
                visitors = [self.visit(public) for _ in range(5)]
                client.wait_for(OUT)
                used = self.busy(client, 3.0, streaming)
                self.assertLess(used, 0.2)
                self.assertEqual(client.count(OUT), 1)
                self.assertLessEqual(client.count(r"\[warn\]"), 20, client.said)
                self.limit(client, before)
                self.wait_until(partial(self._served, public), "visitors are served again")
                self.round_trip(streaming, b"last")
                self.assertEqual((server.count(r"client .* lost"), client.count("lost:")), (0, 0))
                for each in (*visitors, streaming):
                    each.close()
                client.stop()
                server.stop()

    def test_reserve(self) -> None:
        """A server with 256 descriptors, flooded with visitors: some are served, the others are reset or wait, and a
        client can still log in, since not all descriptors are for visitors."""
        target = Service(self, echo)
        server = self.limited_server(256)
        public = self.port()
        self.client({"web": (target.port, public)})
        visitors = []
        for _ in range(400):
            try:
                visitors.append(self.visit(public))
            except ConnectionResetError:
                pass  # on a busy machine it is there before connect(2) returns
        server.wait_for(r"one more than server\.limits\.streams, 103 in all")
        self.stable(lambda: open_files(server), "descriptors")
        self.assertLess(open_files(server), 256)
        other = self.port()
        self.client({"other": (target.port, other)}, name="late")
        for visitor in visitors:
            visitor.close()
        self.wait_until(lambda: self._served(public) and self._served(other), "visitors are served again")
        self.assertLessEqual(server.count("one more than"), 10)

    def test_promised(self) -> None:
        """A client with few descriptors serves as many visitors at a time as it says, with either relay."""
        self.server()
        target = Service(self, echo)
        for relay in ("fast", "portable"):
            with self.subTest(relay=relay):
                public = self.port()
                section = {"name": relay, "server_addr": f"{self.host}:{self.control}", "token": self.token,
                           "relay": relay, "mappings": [{"name": "web", "local": target.port, "remote": public}]}
                path = self.write(f"{relay}.yaml", {"client": section})
                client = self.role("client", ["--config", path], name=relay, prefix=limited(80))
                client.wait_for("mapping web open")
                promised = int(client.wait_for(r"enough for about (\d+) visitors").group(1))
                visitors = [self.visit(public) for _ in range(promised)]
                for visitor in visitors:
                    visitor.sendall(b"served")
                for visitor in visitors:
                    self.assertEqual(read_exactly(visitor, 6), b"served")
                for visitor in visitors:
                    visitor.close()
                client.stop()

    def limited_server(self, hard: int, **keys: object) -> Program:
        """Start a server that may have so many descriptors."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "drain_timeout": 1, **keys}
        path = self.write("server.yaml", {"server": section})
        program = self.role("server", ["--config", path], prefix=limited(hard))
        program.wait_for("server listening for clients on")
        return program

    def test_raised(self) -> None:
        """The soft limit is raised to the hard one, said at level debug; a low hard one is said aloud, and so are more
        streams than it is enough for."""
        section: dict[str, Any] = {"addr": f"{self.host}:{self.control}", "token": self.token, "log_level": "debug"}
        section["limits"] = {"streams": 5000}
        path = self.write("server.yaml", {"server": section})
        prefix = ("sh", "-c", 'ulimit -Sn 100; ulimit -Hn 3000; exec "$@"', "sh")
        server = self.role("server", ["--config", path], prefix=prefix)
        server.wait_for("server listening for clients on")
        self.assertEqual(server.count("raised from 100 to 3000"), 1)
        self.assertEqual(server.count("may have only 3000 file descriptors, enough for about 1200 visitors"), 1)
        self.assertEqual(server.count("server.limits.streams is 5000, .* are enough for 1200"), 1)
        self.assertEqual(resource.prlimit(server.pid, resource.RLIMIT_NOFILE), (3000, 3000))

    def _served(self, port: int) -> bool:
        try:
            with socket.create_connection((self.host, port), 10) as visitor:
                visitor.settimeout(12)
                visitor.sendall(b"?")
                return visitor.recv(1) == b"?"
        except OSError:
            return False
