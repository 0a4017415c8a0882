"""Servers and clients as real processes, each test's on a loopback address of its own, with their logs read along.

Every log of every test is searched at its end for tracebacks, unhandled errors and the token.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.e2e.program import RUNNERS, TWISTD, Program, need, read_all, read_exactly
from tests.ports import free_port
from tests.processes import DEADLINE, ProcessTestCase

__all__ = ["FORBIDDEN", "RELAY", "RUNNERS", "TWISTD", "Program", "TunnelTestCase", "need", "read_all", "read_exactly"]

FORBIDDEN = re.compile(r"Traceback|Unhandled|\[critical\]|ResourceWarning|\bat 0x[0-9a-f]{6}")

_RANDOM = random.SystemRandom()

RELAY = {"relay": os.environ["TEST_RELAY"]} if os.environ.get("TEST_RELAY") else {}
"""The relay of servers and clients that are not told another one: theirs to choose, unless TEST_RELAY names it."""


class TunnelTestCase(ProcessTestCase):
    """A test with `self.host`, an address of the loopback network that nobody else uses, and a token."""

    def setUp(self) -> None:
        super().setUp()
        self.token = f"{_RANDOM.getrandbits(256):064x}"
        self.secrets = [self.token]
        self.host = self.another_host()
        self.control = self.port()
        self.programs: list[Program] = []
        self.addCleanup(self._search_logs)

    # Addresses and files.

    def another_host(self) -> str:
        """Return a random address out of 127.0.0.0/8: whatever ports others use at the same time, these are free."""
        host = f"127.{_RANDOM.randint(1, 254)}.{_RANDOM.randint(0, 255)}.{_RANDOM.randint(1, 254)}"
        try:
            socket.create_server((host, 0)).close()
        except OSError as error:
            raise SkipTest(f"the loopback network has no {host} here: {error}") from None
        return host

    def port(self) -> int:
        """Return a port that is free, at our own address and any other one, and that nobody else gets while we run."""
        return free_port(self)

    def write(self, name: str, content: object) -> Path:
        """Write a file into the test's folder: text as it is, anything else as JSON, which YAML contains."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path

    # Processes.

    def launch(
        self, name: str, command: Sequence[str | Path], *, cwd: Path | None = None, **more: str
    ) -> Program:
        """Start a command; `more` adds to the environment. What still runs when the test ends is killed."""
        log = self.folder / f"{name}.{len(self.programs)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=cwd or self.folder,
                env=self.environment(PYTHONUNBUFFERED="1", **more),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        program = Program(self, name, process, log)
        self.programs.append(program)
        self.addCleanup(_end, process)
        return program

    def role(
        self,
        role: str,
        options: Sequence[str | Path],
        *,
        name: str | None = None,
        runner: str = "command",
        prefix: Sequence[str] = (),
        cwd: Path | None = None,
        **more: str,
    ) -> Program:
        """Start `gotunnel-ROLE`; `prefix` is a command that runs it, as `env` would."""
        name = name or role
        words = [word.format(role=role, name=name) for word in RUNNERS[runner]]
        return self.launch(name, [*prefix, sys.executable, *words, *options], cwd=cwd, **more)

    def server(
        self,
        *,
        name: str = "server",
        runner: str = "command",
        env: Mapping[str, str] | None = None,
        **keys: Any,
    ) -> Program:
        """Start a server on `self.host`, and wait until it listens; `keys` add to its section."""
        address = f"{self.host}:{self.control}"
        section = {"addr": address, "token": self.token, "drain_timeout": 1, "log_level": "debug", **RELAY, **keys}
        path = self.write(f"{name}.yaml", {"server": section})
        program = self.role("server", ["--config", path], name=name, runner=runner, **(env or {}))
        program.wait_for("server listening for clients on")
        return program

    def client(
        self,
        mappings: Mapping[str, tuple[str | int, str | int]] | None = None,
        *,
        name: str = "client",
        runner: str = "command",
        ready: bool = True,
        plain: Sequence[str] = (),
        group: str | None = None,
        env: Mapping[str, str] | None = None,
        **keys: Any,
    ) -> Program:
        """Start a client that publishes `mappings` (name: (local, remote)) and wait until they are open.

        Those that `plain` names have `encrypt: false`, and all of them are in `group`.
        """
        section: dict[str, Any] = {
            "name": name,
            "token": self.token,
            "server_addr": f"{self.host}:{self.control}",
            "drain_timeout": 1,
            **RELAY,
            **keys,
        }
        if mappings is not None:
            shared = {} if group is None else {"group": group}
            section["mappings"] = [
                {"name": each, "local": str(local), "remote": str(remote), "encrypt": each not in plain, **shared}
                for each, (local, remote) in mappings.items()
            ]
        section = {key: value for key, value in section.items() if value is not None}
        path = self.write(f"{name}.yaml", {"client": section})
        program = self.role("client", ["--config", path], name=name, runner=runner, **(env or {}))
        if ready:
            for each in mappings or ():
                program.wait_for(f"mapping {re.escape(each)} open")
        return program

    def tunnel(self, local: str | int, **keys: Any) -> tuple[Program, Program, int]:
        """Start a server and a client with one mapping; return both and the public port."""
        server = self.server(**keys)
        public = self.port()
        return server, self.client({"web": (local, public)}), public

    # Visitors.

    def visit(
        self, port: int, host: str | None = None, *, receive_buffer: int | None = None
    ) -> socket.socket:
        """Connect as a visitor; the socket is closed when the test ends."""
        visitor = socket.socket()
        self.addCleanup(visitor.close)
        if receive_buffer is not None:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        visitor.settimeout(DEADLINE)
        visitor.connect((host or self.host, port))
        return visitor

    def refused(self, port: int, host: str | None = None) -> bool:
        """Say whether nobody listens there."""
        try:
            socket.create_connection((host or self.host, port), DEADLINE).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it stopped to listen just then
        return False

    def assert_echo(self, port: int, host: str | None = None, text: bytes = b"round and back") -> None:
        """Send some bytes to an echo service through the tunnel, and take a clean end of stream."""
        with self.visit(port, host) as visitor:
            visitor.sendall(text)
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(visitor), text)

    def stable(self, figure: Callable[[], int], what: str, seconds: float = 1.0) -> int:
        """Wait until a figure that has left 0 does not change for a while; return it."""
        last, since = figure(), time.monotonic()

        def still() -> bool:
            nonlocal last, since
            now = figure()
            if now != last or not now:
                last, since = now, time.monotonic()
            return time.monotonic() - since >= seconds

        self.wait_until(still, f"no change of {what}")
        return last

    # Logs.

    def _search_logs(self) -> None:
        for path in sorted(self.folder.rglob("*.log")):
            text = path.read_text(errors="backslashreplace")
            found = FORBIDDEN.search(text)
            if found is not None:
                self.fail(f"{found.group()} in {path.name}:\n{text[-8000:]}")
            for secret in (*self.secrets, self.token):
                self.assertNotIn(secret, text, f"a token is in {path.name}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
