"""Files that change under running processes: SIGHUP, whoever runs them, and streams that notice nothing."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.e2e.harness import RUNNERS, Program, TunnelTestCase, read_exactly
from tests.e2e.peers import Service, echo
from tests.processes import DEADLINE, alive

PIECE = bytes(range(256)) * 64
"""16 KiB, whose end in another piece would show."""
STREAMS = 12
RELOADS = 12


class ReloadTests(TunnelTestCase):
    """A server and a client as processes, and their files."""

    def setUp(self) -> None:
        super().setUp()
        self.service = Service(self, echo)
        self.one, self.two, self.three = (self.port() for _ in range(3))

    def file(self, role: str, **keys: Any) -> Path:
        """Write the file of a role."""
        common: dict[str, Any] = {"token": self.token, "drain_timeout": 1}
        if role == "server":
            common |= {"addr": f"{self.host}:{self.control}"}
        else:
            common |= {"name": "edge", "server_addr": f"{self.host}:{self.control}"}
        path = self.write(f"{role}.yaml", {role: {**common, **keys}})
        path.chmod(0o600)
        return path

    def mappings(self, *ports: int) -> list[dict[str, Any]]:
        """Return mappings of the echo service, named by their ports."""
        return [{"name": str(port), "local": self.service.port, "remote": port} for port in ports]

    def start(self, runner: str = "command") -> tuple[Program, Program]:
        """Start both, with the mappings `one` and `two`."""
        server = self.role("server", ["--config", self.file("server")], runner=runner)
        server.wait_for("server listening for clients on")
        path = self.file("client", mappings=self.mappings(self.one, self.two))
        client = self.role("client", ["--config", path], runner=runner)
        client.wait_for(f"mapping {self.two} open")
        return server, client

    def reload(self, program: Program, words: str = "configuration read again: ") -> str:
        """Send SIGHUP, and return the line that says what came of it."""
        before = program.count(words)
        program.signal(signal.SIGHUP)
        found = program.wait_for(words + ".*", before + 1)
        return found.group().partition(words)[2]

    def talking(self, port: int) -> socket.socket:
        """Return a visitor who is being served."""
        visitor = self.visit(port)
        self.talk(visitor)
        return visitor

    def talk(self, visitor: socket.socket) -> None:
        """Say something and hear it back."""
        visitor.sendall(b"still there")
        self.assertEqual(read_exactly(visitor, 11), b"still there")

    def by(self, runner: str) -> None:
        """Both roles take up what has changed in their files, and say so."""
        server, client = self.start(runner)
        stays, goes = self.talking(self.one), self.talking(self.two)
        self.file("client", mappings=self.mappings(self.one, self.three))
        self.assertEqual(
            self.reload(client),
            f"mappings: +{self.three} added, {self.one} unchanged with 1 stream kept, {self.two} removed, draining 1",
        )
        client.wait_for(f"mapping {self.three} open")
        self.assert_echo(self.three)
        self.wait_until(lambda: self.refused(self.two), "the port is closed")
        self.assertRaises(ConnectionResetError, goes.recv, 1)
        self.talk(stays)
        self.file("server", allow_ports=[self.one], addr=f"{self.host}:{self.port()}")
        first = self.reload(server)
        self.assertEqual(first, "changed: server.allow_ports")
        server.wait_for("configuration read again: server.addr changed: needs a restart")
        server.wait_for(f"not allowed any more: {self.three} of edge")
        self.wait_until(lambda: self.refused(self.three), "the port is closed")
        self.talk(stays)
        self.assertEqual((client.stop(), server.stop()), (0, 0))

    def test_command(self) -> None:
        """`gotunnel-server` and `gotunnel-client`."""
        self.by("command")

    def test_twistd(self) -> None:
        """`twistd -n`."""
        self.by("twistd")

    def test_twist(self) -> None:
        """`twist`."""
        self.by("twist")

    def test_daemon(self) -> None:
        """A daemon finds its file though it was named from another folder."""
        path = self.file("server")
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        words = [RUNNERS["twistd"][1], f"--rundir={elsewhere}", "--pidfile=server.pid", "--logfile=server.log"]
        program = self.launch(
            "starter", [sys.executable, "-c", *words, "gotunnel-server", "--config", path.name], cwd=self.folder
        )
        self.assertEqual(program.wait(), 0, program.said)
        pid_file, log = self.folder / "server.pid", self.folder / "server.log"
        self.wait_until(pid_file.exists, "the pid file")
        pid = int(pid_file.read_text())
        self.addCleanup(self.end, pid)
        self.wait_until(lambda: "server listening" in log.read_text(), "it listens")
        self.assertEqual(Path(f"/proc/{pid}/cwd").resolve(), elsewhere.resolve())
        self.file("server", drain_timeout=3)
        os.kill(pid, signal.SIGHUP)
        self.wait_until(lambda: "read again: changed: server.drain_timeout" in log.read_text(), "it has changed")

    def end(self, pid: int) -> None:
        """End a daemon of ours."""
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        self.wait_until(lambda: not alive(pid), "the daemon's end")

    def test_broken_file(self) -> None:
        """What a start would print stands in the log, a line for each mistake, and all goes on; mended, it is taken."""
        _, client = self.start()
        visitor = self.talking(self.one)
        path = self.file("client", mappings=[{"local": "nonsense"}], colour="red")
        self.reload(client, "configuration rejected, everything stays as it was: ")
        said = client.said
        for words in ("client.colour: ", "client.mappings[0].local: "):
            self.assertRegex(said, rf"stays as it was: {path}:\d+: {words.replace('[', chr(92) + '[')}")
        self.talk(visitor)
        path.unlink()
        self.assertIn("does not exist", self.reload(client, "configuration rejected, everything stays as it was: "))
        self.assert_echo(self.two)
        self.file("client", mappings=self.mappings(self.one))
        self.assertIn("unchanged with 1 stream kept", self.reload(client))
        self.talk(visitor)

    def test_many_signals(self) -> None:
        """A hundred signals are a few reloads, and the last state of the file counts."""
        _, client = self.start()
        for number in range(100):
            self.file("client", mappings=self.mappings(self.one), dial_timeout=1 + number % 10)
            client.signal(signal.SIGHUP)
        client.wait_for(f"{self.one} unchanged, {self.two} removed")
        self.file("client", mappings=self.mappings(self.one, self.three))
        client.signal(signal.SIGHUP)
        client.wait_for(f"mapping {self.three} open")
        self.assertLess(client.count("configuration read again"), 202)
        self.assertEqual(client.stop(), 0)

    def test_log_level(self) -> None:
        """It changes at once."""
        _, client = self.start()
        self.file("client", mappings=self.mappings(self.one, self.two), log_level="debug")
        self.reload(client)
        self.assert_echo(self.one)
        client.wait_for("reached 127.0.0.1")

    def test_terminal(self) -> None:
        """A process whose terminal has gone stops in order, as it did before: a terminal that closes is no wish to
        read a file."""
        control, terminal = pty.openpty()
        path = self.file("server")
        program = self.on_terminal(terminal, path)
        os.close(terminal)
        program.wait_for("server listening")
        program.signal(signal.SIGHUP)
        program.wait_for("configuration read again: nothing has changed")
        os.close(control)
        program.signal(signal.SIGHUP)
        self.assertEqual(program.wait(), 0)
        program.wait_for("SIGHUP: stopping")

    def on_terminal(self, terminal: int, path: Path) -> Program:
        """Start a server whose input is a terminal."""
        log = self.folder / "terminal.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *(word.format(role="server") for word in RUNNERS["command"]), "--config", str(path)],
                stdin=terminal, stdout=output, stderr=output, cwd=self.folder,
                env=self.environment(PYTHONUNBUFFERED="1"),
            )  # fmt: skip
        program = Program(self, "terminal", process, log)
        self.addCleanup(lambda: process.poll() is None and program.kill())
        return program

    def test_streams(self) -> None:
        """Streams go on, byte for byte, through a dozen reloads of both roles with mappings that come and go."""
        server, client = self.start()
        pumps = [_Pump(self, self.visit(self.one)) for _ in range(STREAMS)]
        self.wait_until(lambda: all(pump.pieces for pump in pumps), "they move")
        for number in range(RELOADS):
            self.file("client", mappings=self.mappings(self.one, (self.three, self.two)[number % 2]))
            self.file("server", limits={"visitors": 1000 + number}, allow_ports=["1024-65535"])
            self.assertIn(f"{self.one} unchanged with {STREAMS} streams kept", self.reload(client))
            self.assertEqual(self.reload(server), "changed: server.limits.visitors")
            before = [pump.pieces for pump in pumps]
            self.wait_until(
                lambda before=before: all(p.pieces > old for p, old in zip(pumps, before, strict=True)), "they move"
            )
        for pump in pumps:
            pump.stop()
        self.assertEqual([pump.wrong for pump in pumps], [None] * STREAMS)
        self.assertEqual(client.count("connected to the server"), 1)


class _Pump:
    """Sends pieces to an echo service and takes them back, until it is stopped; `wrong` says what went wrong."""

    def __init__(self, case: TunnelTestCase, sock: socket.socket) -> None:
        self.pieces = 0
        self.wrong: str | None = None
        self._sock = sock
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        case.addCleanup(self.stop)

    def _run(self) -> None:
        try:
            while not self._over:
                self._sock.sendall(PIECE)
                if read_exactly(self._sock, len(PIECE)) != PIECE:
                    self.wrong = f"other bytes came back behind {self.pieces} pieces"
                    return
                self.pieces += 1
                time.sleep(0.01)
        except OSError as error:
            self.wrong = f"behind {self.pieces} pieces: {error}"

    def stop(self) -> None:
        """Send no more, and take back what is under way."""
        self._over = True
        self._thread.join(DEADLINE)
