"""Processes that are stopped for 5, 20 and 40 seconds by the clock, and a client that is away for longer than its time
of grace; all at once, so that it takes a minute. `heartbeat_timeout` is 30 s as it is by default. Pings are every 4 s
instead of 10, so that 20 s and what was left until the next ping never come near the 30.
"""

from __future__ import annotations

import signal
import socket
import time

from tests.e2e.harness import Program, read_exactly
from tests.e2e.peers import Service, echo
from tests.regressions.test_loss import LossTestCase

LENGTHS = (5, 20, 40)
BACK = 10.0
"""Seconds, once a process goes on, within which everything is as before, also when it has to connect again; five on a
machine that does nothing else."""


def patient_echo(connection: socket.socket) -> None:
    """A service that does not give up while nothing comes."""
    connection.settimeout(None)
    echo(connection)


class _Tunnel:
    """A server and a client, each a process, with a visitor who streams."""

    def __init__(self, case: StoppedAtScaleTests, number: int, target: str) -> None:
        self.case = case
        self.host = case.another_host()
        control, self.public = case.port(), case.port()
        self.name = f"edge{number}"
        case.write(
            f"server{number}.yaml",
            {"server": {"addr": f"{self.host}:{control}", "token": case.token, "heartbeat": 4}},
        )
        mapping = {"name": "web", "local": target, "remote": str(self.public)}
        section = {"name": self.name, "token": case.token, "server_addr": f"{self.host}:{control}"}
        self.file = case.write(f"client{number}.yaml", {"client": {**section, "mappings": [mapping]}})
        self.server = case.role(
            "server", ["--config", case.folder / f"server{number}.yaml"], name=f"server{number}"
        )
        self.client = self.start_client()
        self.visitor: socket.socket

    def start_client(self) -> Program:
        return self.case.role("client", ["--config", self.file], name=f"client-{self.name}")

    def ready(self) -> None:
        """Both are there, and a visitor streams."""
        self.client.wait_for("mapping web open", seconds=120)  # fourteen processes start at once
        self.visitor = self.visit(b"before")
        self.case.assertEqual(read_exactly(self.visitor, 6), b"before")

    def visit(self, word: bytes) -> socket.socket:
        """A visitor comes and says something."""
        visitor = self.case.visit(self.public, self.host)
        visitor.sendall(word)
        return visitor

    def hears(self, visitor: socket.socket, word: bytes) -> None:
        """He gets it back."""
        self.case.assertEqual(read_exactly(visitor, len(word)), word)

    def as_before(self, lost: int, *, open_times: int = 1) -> None:
        """The stream goes on, newcomers are served, one socket listens, and the session was lost so many times."""
        self.visitor.sendall(b"after")
        self.hears(self.visitor, b"after")
        self.case.assert_echo(self.public, self.host)
        self.case.assertEqual(self.case.listeners(self.public, self.host), 1)
        self.case.assertEqual(self.client.count(r"\] connected to the server"), 1 + lost, self.client.said)
        self.case.assertEqual(self.server.count("mapping web of client .* open"), open_times, self.server.said)


class StoppedAtScaleTests(LossTestCase):
    """SIGSTOP and SIGCONT, by the clock."""

    def wait_for_second(self, second: float) -> None:
        """Wait until so many seconds have passed since all began."""
        self.wait_until(lambda: time.monotonic() - self.began >= second, f"second {second}", seconds=60)

    def test_all_at_once(self) -> None:
        """Up to 20 s nobody notices: sessions and streams go on, and who came meanwhile is served. After 40 s there is
        one reconnect, whichever end was stopped, and its streams go on too. A client that is away for 40 s has lost its
        port after 30 s; when it is back there is one listener, and it still works 10 s later."""
        target = Service(self, patient_echo).address
        clients, servers = (
            {length: _Tunnel(self, base + length, target) for length in LENGTHS} for base in (100, 200)
        )
        away = _Tunnel(self, 300, target)
        for tunnel in (*clients.values(), *servers.values(), away):
            tunnel.ready()
        victims = {length: (clients[length].client, servers[length].server) for length in LENGTHS}
        for stopped in victims.values():
            for program in stopped:
                program.signal(signal.SIGSTOP)
        away.client.kill()
        self.began = time.monotonic()
        self.wait_for_second(1)
        early = [(tunnel, tunnel.visit(b"early")) for tunnel in (clients[5], *servers.values())]
        for length in LENGTHS:
            if length == 40:
                away.server.wait_for("did not come back within 30.0 s: its ports are closed", seconds=60)
                self.assertEqual(self.listeners(away.public, away.host), 0)
                self.wait_for_second(38)
                early.append((clients[40], clients[40].visit(b"early")))
            self.wait_for_second(length)
            for program in victims[length]:
                program.signal(signal.SIGCONT)
            went_on = time.monotonic()
            for tunnel in (clients[length], servers[length]):
                for _, visitor in [each for each in early if each[0] is tunnel]:
                    tunnel.hears(visitor, b"early")
                if length == 40:
                    tunnel.client.wait_for(r"\] connected to the server", 2)
                tunnel.as_before(int(length == 40))
            self.assertLess(time.monotonic() - went_on, BACK)
        for length in (5, 20):
            for tunnel in (clients[length], servers[length]):
                for program in (tunnel.server, tunnel.client):
                    self.assertEqual(program.count(r"\blost\b"), 0, program.said)
        self.assertEqual(clients[40].server.count("lost .*nothing was received for 30 s"), 1)
        self.assertEqual(servers[40].client.count("lost: nothing was received for 30 s"), 1)
        away.client = away.start_client()
        away.client.wait_for("mapping web open")
        back = time.monotonic()
        for seconds in (0.1, 1, 10):
            self.wait_until(lambda s=seconds: time.monotonic() - back >= s, "the time")  # type: ignore[misc]
            self.assert_echo(away.public, away.host)
            self.assertEqual(self.listeners(away.public, away.host), 1)
        self.assertEqual(away.server.count("mapping web of client .* open"), 2)
