"""Processes of a run: started in sessions of their own, so that a Ctrl-C reaches the run alone, and ended by it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.cpu import descendants

__all__ = ["ROOT", "BenchError", "LoadProcess", "Processes", "free_ports", "python_environment"]

ROOT = Path(__file__).resolve().parent.parent
"""The tree that is measured."""

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""


class BenchError(Exception):
    """A measure could not be taken; the text says why."""


def python_environment() -> dict[str, str]:
    """Return the environment of Python processes: this tree on the path, and compiled files kept, as an installed
    program has them."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "STATE_DIRECTORY")
    kept = {
        key: value for key, value in os.environ.items() if key not in dropped and not key.startswith("GOTUNNEL")
    }
    return {**kept, "PYTHONPATH": str(ROOT)}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Processes:
    """A context that starts processes and has ended all of them, with what they started, when it is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[Any]] = []
        self._started = 0

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in reversed(self._running[:]):
            self.end(process)

    def log_of(self, process: subprocess.Popen[Any]) -> Path:
        """Return the file with all that a process from `spawn` says."""
        return self.folder / f"{process.pid}.log"

    def spawn(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program that nobody talks to. Raises OSError."""
        self._started += 1
        log = self.folder / f"starting.{self._started}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command], env=env, cwd=cwd or self.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._running.append(process)
        log.rename(self.log_of(process))
        return process

    def talk(self, module: str) -> subprocess.Popen[str]:
        """Start `python -m bench.MODULE`, which reads lines from us and answers with lines."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"bench.{module}"], env=python_environment(), cwd=ROOT,
            start_new_session=True, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._running.append(process)
        return process

    def end(self, process: subprocess.Popen[Any]) -> None:
        """End a process and all below it. sshd's sessions are in process groups of their own."""
        if process in self._running:
            self._running.remove(process)
        family = descendants(process.pid) if process.poll() is None else []
        _signal(family, signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _signal(family[1:], signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it may hold a command that nobody took any more
                    pipe.close()


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


class LoadProcess:
    """The visitors, in a process of their own."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._process = processes.talk("load")

    def ask(self, what: str, timeout: float = 120.0, **values: Any) -> dict[str, Any]:
        """Give a command of `bench.load` and return its answer. Raises BenchError when it failed or took too long; a
        process that does not answer is replaced, so that its late answer is not taken for that of the next command."""
        given, taken = self._process.stdin, self._process.stdout
        assert given is not None and taken is not None
        line = ""
        with suppress(BrokenPipeError):
            given.write(json.dumps({"do": what, **values}) + "\n")
            given.flush()
            if not select.select([taken], [], [], timeout)[0]:
                self._replace()
                raise BenchError(f"{what} took more than {timeout:.0f} s")
            line = taken.readline()
        if not line:
            self._replace()
            raise BenchError("the load generator ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(str(answer["error"]))
        return answer

    def _replace(self) -> None:
        self._processes.end(self._process)
        self._process = self._processes.talk("load")
