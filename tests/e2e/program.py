"""A process of a test with its log, what it may be started with, and small helpers around sockets and tools."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.processes import DEADLINE, ProcessTestCase

__all__ = ["RUNNERS", "TWISTD", "Program", "need", "read_all", "read_exactly"]

TWISTD = "from twisted.scripts.twistd import run; run()"

RUNNERS: Mapping[str, Sequence[str]] = {
    "command": ("-c", "from gotunnel.cli.roles import {role}; {role}(prog_name='gotunnel-{role}')"),
    "twistd": ("-c", TWISTD, "-n", "--pidfile={name}.pid", "gotunnel-{role}"),
    "twist": ("-m", "twisted", "--log-format=text", "gotunnel-{role}"),
    "asyncio": ("-m", "twisted", "--reactor=asyncio", "--log-format=text", "gotunnel-{role}"),
}
"""What stands behind `python` and in front of a role's own options. The first is what the console scripts do."""


def need(program: str, package: str | None = None) -> str:
    """Return the path of a program that a test runs; skip the test where it is missing."""
    # A user's PATH has no sbin on Debian.
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SkipTest(f"{program} is not installed: apt install {package or program}")
    return found


class Program:
    """A process of a test, with all that it says in one file."""

    def __init__(self, case: ProcessTestCase, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._case = case

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """All that it has printed and logged so far."""
        return self.log.read_text(errors="backslashreplace")

    def count(self, pattern: str) -> int:
        """Return how often `pattern` stands in its log."""
        return len(re.findall(pattern, self.said))

    def wait_for(self, pattern: str, times: int = 1, *, seconds: float = DEADLINE) -> re.Match[str]:
        """Wait until its log has `pattern` for the `times`-th time, and return that match."""
        found: list[re.Match[str]] = []

        def seen() -> bool:
            ended = self.process.poll() is not None
            found[:] = re.finditer(pattern, self.said)
            if len(found) < times and ended:
                self._case.fail(
                    f"{self.name} ended with {self.process.returncode}, no {pattern!r}:\n{self.said}"
                )
            return len(found) >= times

        try:
            self._case.wait_until(seen, f"{pattern!r} in the log of {self.name}", seconds=seconds)
        except self._case.failureException as failure:
            raise self._case.failureException(f"{failure}\n{self.said}") from None
        return found[times - 1]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would: no last word."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self) -> int:
        """End it in order; return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._case.fail(f"{self.name} did not end:\n{self.said}")

    def rss(self) -> int:
        """Return the bytes of memory that are resident."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def read_all(sock: socket.socket) -> bytes:
    """Read to the end of the stream."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Read so many bytes, or fewer if the stream ends before."""
    parts: list[bytes] = []
    while count and (part := sock.recv(min(count, 1 << 16))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
