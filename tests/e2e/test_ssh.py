"""SSH through the tunnel, with OpenSSH at both ends: commands, a terminal, scp, and a session that outlives the control
connection of the client that carries it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from typing import Any

from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.middle import Middle
from tests.e2e.services import Sshd
from tests.processes import DEADLINE

MIB = 1 << 20
FLOWING = MIB // 2
"""That much has come back since some event when a session is said to go on."""


class Terminal:
    """A pseudo-terminal with a process on it; what it prints is waited for, piece after piece."""

    def __init__(self, case: TunnelTestCase, command: list[str], rows: int, columns: int) -> None:
        self._case = case
        self._unread = b""
        self._fd, inner = os.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env=case.environment(TERM="vt100"),
        )
        os.close(inner)
        case.addCleanup(self._end)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, pattern: str) -> re.Match[bytes]:
        """Wait until what has not been matched yet matches; return the match."""
        deadline = time.monotonic() + DEADLINE
        while (found := re.search(pattern.encode(), self._unread)) is None:
            readable, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                self._case.fail(f"no {pattern!r} on the terminal: {self._unread!r}")
            try:
                self._unread += os.read(self._fd, 1 << 16)
            except OSError:  # EIO: nobody has the inner end open any more
                self._case.fail(f"the terminal closed before {pattern!r}: {self._unread!r}")
        self._unread = self._unread[found.end() :]
        return found

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)


class Conversation:
    """A remote `cat` that gets bytes without end and sends them back; both directions are hashed."""

    def __init__(self, case: TunnelTestCase, command: list[str]) -> None:
        self.back = 0
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=case.environment(),
        )
        self._case = case
        self._digests = hashlib.sha256(), hashlib.sha256()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()
        case.addCleanup(self._end)

    def goes_on(self) -> None:
        """Wait until bytes have gone there and back since now."""
        there = self.back + FLOWING
        self._case.wait_until(
            lambda: self.back >= there or self._process.poll() is not None, "bytes of the session"
        )
        if self._process.poll() is not None:
            assert self._process.stderr is not None
            self._case.fail(
                f"the session ended with {self._process.returncode}: {self._process.stderr.read()!r}"
            )

    def finish(self) -> None:
        """End our direction; all that was sent has come back, and the session ends with 0."""
        self._over.set()
        code = self._process.wait(DEADLINE)
        for thread in self._threads:
            thread.join(DEADLINE)
        self._case.assertEqual(code, 0)
        self._case.assertEqual(self._digests[0].hexdigest(), self._digests[1].hexdigest())

    def _send(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                while not self._over.is_set():
                    part = os.urandom(1 << 14)
                    pipe.write(part)
                    self._digests[0].update(part)
        except BrokenPipeError:
            pass  # ssh has ended, and its exit code says more

    def _receive(self) -> None:
        assert self._process.stdout is not None
        while part := os.read(self._process.stdout.fileno(), 1 << 16):
            self._digests[1].update(part)
            self.back += len(part)

    def _end(self) -> None:
        self._over.set()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(DEADLINE)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


class SshTests(TunnelTestCase):
    """One sshd behind one mapping."""

    def setUp(self) -> None:
        super().setUp()
        self.sshd = Sshd(self)

    def ssh(self, port: int, *words: str) -> list[str]:
        return self.sshd.command("ssh", port, *words)

    def test_command(self) -> None:
        """Standard input, output and error stay apart, and the exit code comes back."""
        _, _, public = self.tunnel(self.sshd.address)
        sent = os.urandom(MIB)
        done = self.sshd.run(self.ssh(public, self.host, "cat; echo of the error >&2; exit 7"), sent)
        self.assertEqual((done.returncode, done.stderr), (7, b"of the error\n"))
        self.assertEqual(done.stdout, sent)

    def test_interactive(self) -> None:
        """A shell on a terminal: a prompt, the window's size and its change, Ctrl-C, an exit code."""
        _, _, public = self.tunnel(self.sshd.address)
        # What is typed is echoed, so nothing that is expected stands in what is typed.
        shell = self.ssh(public, "-tt", self.host, "PS1='ready''> ' ENV= exec sh -i")
        terminal = Terminal(self, shell, 40, 132)
        terminal.expect("ready> ")
        terminal.type("tty; stty size\n")
        terminal.expect(r"\r\n/dev/\S+\r\n40 132\r\nready> ")
        terminal.resize(25, 80)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.type("while [ \"$(stty size)\" != '25 80' ]; do :; done; echo it is ''smaller\n")
        terminal.expect("it is smaller\r\nready> ")
        terminal.type("sh -c 'echo running $((40 + 2)); exec sleep 600'\n")
        terminal.expect("running 42\r\n")
        terminal.type("\x03")
        terminal.expect("ready> ")
        terminal.type("echo code $?\n")
        terminal.expect("code 130\r\nready> ")
        terminal.type("exit 5\n")
        terminal.expect("closed")
        self.assertEqual(terminal.process.wait(DEADLINE), 5)

    def test_scp(self) -> None:
        """64 MiB go there and come back, each the same."""
        _, _, public = self.tunnel(self.sshd.address)
        ours, theirs, again = (self.folder / name for name in ("ours", "theirs", "again"))
        wanted = hashlib.sha256()
        with ours.open("wb") as file:
            for _ in range(64):
                part = os.urandom(MIB)
                wanted.update(part)
                file.write(part)
        for source, goal, result in (
            (str(ours), f"{self.host}:{theirs}", theirs),
            (f"{self.host}:{theirs}", str(again), again),
        ):
            done = self.sshd.run(self.sshd.command("scp", public, "-q", source, goal))
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(hashlib.sha256(result.read_bytes()).hexdigest(), wanted.hexdigest(), result.name)


class ControlLostTests(TunnelTestCase):
    """A session whose client loses its control connection, and nothing else."""

    def converse(self, **keys: Any) -> tuple[Program, Program, Middle, Conversation]:
        """Start all, with a conversation under way; the relay is between client and server only."""
        self.sshd = Sshd(self)
        server = self.server(**keys)
        middle = Middle(self, self.host, self.control)
        self.public = self.port()
        client = self.client({"ssh": (self.sshd.address, self.public)}, server_addr=middle.address)
        conversation = Conversation(self, self.sshd.command("ssh", self.public, self.host, "cat"))
        conversation.goes_on()
        return server, client, middle, conversation

    def check(self, server: Program, client: Program, conversation: Conversation) -> None:
        """The client has come back, the conversation has never stopped, and there is room for another one."""
        client.wait_for("connection to the server .* lost")
        client.wait_for("mapping ssh open", 2)
        server.wait_for("client client connected", 2)
        conversation.goes_on()
        done = self.sshd.run(self.sshd.command("ssh", self.public, self.host, "echo another one"))
        self.assertEqual((done.returncode, done.stdout), (0, b"another one\n"), done.stderr)
        conversation.finish()

    def test_control_cut(self) -> None:
        """The control connection is reset: the client dials again, and the session does not notice."""
        server, client, middle, conversation = self.converse()
        middle.cut(0)
        self.check(server, client, conversation)

    def test_control_black_hole(self) -> None:
        """Nothing passes on the control connection any more: both ends give it up after `heartbeat_timeout`."""
        server, client, middle, conversation = self.converse(heartbeat=0.4, heartbeat_timeout=1.2)
        middle.stall(0)
        server.wait_for("client client lost")
        self.check(server, client, conversation)
