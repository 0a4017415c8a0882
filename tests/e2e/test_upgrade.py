"""A server that is replaced while systemd holds its control port: clients are never refused, public ports are back with
the new process, and visitors have their time. The test plays systemd."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

from tests.e2e.harness import RUNNERS, Program, TunnelTestCase, read_all, read_exactly
from tests.e2e.peers import Service, echo
from tests.processes import DEADLINE

ACTIVATED = (
    "import os, sys; fd = int(sys.argv[1]); os.dup2(fd, 3); os.set_inheritable(3, True); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)
"""Puts the socket where sd_listen_fds(3) looks, and becomes the program."""
CLIENTS = 4
DRAIN = 4
SOON = 1.0
"""Seconds from the new process being ready to the last public port. Its clients wait in the queue of the control port
by then, and are served at once."""


class UpgradeTests(TunnelTestCase):
    """One socket, two servers after each other."""

    def setUp(self) -> None:
        super().setUp()
        self.service = Service(self, echo)
        self.listening = socket.create_server((self.host, self.control), backlog=1024)
        self.addCleanup(self.listening.close)
        self.refusals: list[str] = []
        self.knocks = 0

    def serve(self, name: str) -> Program:
        """Start a server with the socket, as systemd does."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "drain_timeout": DRAIN}
        path = self.write("server.yaml", {"server": section})
        words = [word.format(role="server", name=name) for word in RUNNERS["command"]]
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", ACTIVATED, str(self.listening.fileno()), *words, "--config", str(path)],
                cwd=self.folder, env=self.environment(PYTHONUNBUFFERED="1"), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, pass_fds=[self.listening.fileno()],
            )  # fmt: skip
        program = Program(self, name, process, log)
        self.addCleanup(lambda: process.poll() is None and program.kill())
        return program

    def knock(self, over: threading.Event) -> None:
        """Connect to the control port again and again, from many addresses, as a crowd of clients does."""
        while not over.is_set():
            self.knocks += 1
            source = f"127.77.{self.knocks // 250 % 250}.{self.knocks % 250 + 1}", 0
            try:
                socket.create_connection((self.host, self.control), DEADLINE, source).close()
            except OSError as error:
                self.refusals.append(str(error))
            over.wait(0.02)

    def test_upgrade(self) -> None:
        """Nobody who knocks is refused; who finishes within the drain time is not cut, who does not is reset; all
        public ports are open again at once when the new process is there, and the clients are the same processes."""
        old = self.serve("old")
        old.wait_for("server listening for clients on")
        ports = [self.port() for _ in range(CLIENTS)]
        clients = [self.client({"web": (self.service.port, port)}, name=f"c{port}") for port in ports]
        finishes, stays = self.visit(ports[0]), self.visit(ports[1])
        for visitor in (finishes, stays):
            visitor.sendall(b"hello")
            self.assertEqual(read_exactly(visitor, 5), b"hello")
        over = threading.Event()
        knocking = threading.Thread(target=self.knock, args=(over,), daemon=True)
        knocking.start()
        self.addCleanup(over.set)

        old.process.terminate()
        asked = time.monotonic()
        old.wait_for("SIGTERM: stopping")
        self.wait_until(lambda: all(self.refused(port) for port in ports), "public ports are closed")
        finishes.sendall(b"the end")
        finishes.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(finishes), b"the end")
        for client in clients:
            client.wait_for("the server is about to stop")
        self.assertRaises(ConnectionResetError, stays.recv, 1)
        self.assertGreater(time.monotonic() - asked, DRAIN - 0.5)
        self.assertEqual(old.wait(), 0)

        new = self.serve("new")
        new.wait_for("server listening for clients on")
        ready = time.monotonic()
        left = set(ports)
        while left and time.monotonic() - ready < DEADLINE:
            left -= {port for port in left if not self.refused(port)}
            time.sleep(0.005)
        seconds = time.monotonic() - ready
        self.assertEqual(left, set())
        for port in ports:
            self.assert_echo(port)
        over.set()
        knocking.join(DEADLINE)
        self.assertEqual(self.refusals, [])
        self.assertGreater(self.knocks, 100)
        for client in clients:
            self.assertEqual(client.count("not connected to the server"), 0, client.said)
        self.assertLess(seconds, SOON)
        self.assertEqual([client.process.poll() for client in clients], [None] * CLIENTS)
        self.assertEqual(new.stop(), 0)
