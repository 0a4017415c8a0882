"""Many real client processes, one after the other, each there within some milliseconds: a process that has imported
all and forks a client for each line that it reads. It starts no reactor itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.processes import DEADLINE, ROOT

__all__ = ["Forks"]


class Forks:
    """The test's side: starts clients and ends those that it started."""

    def __init__(self, case: Any) -> None:
        self._case = case
        self._pids: list[int] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.regressions.forks"],
            cwd=case.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        case.addCleanup(self._end)

    def start(self, config: Path) -> int:
        """Start a client; what it says is appended to a log beside its file. Return its process id."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{config}\n")
        self._process.stdin.flush()
        self._pids.append(int(self._process.stdout.readline()))
        return self._pids[-1]

    @staticmethod
    def runs(pid: int) -> bool:
        """Whether a process is there, stopped or not."""
        return os.path.exists(f"/proc/{pid}")

    def kill(self, pid: int) -> None:
        """End a client as the kernel would: no last word."""
        self._pids.remove(pid)
        os.kill(pid, signal.SIGKILL)

    def over(self, pid: int) -> None:
        """A client has ended by itself."""
        self._pids.remove(pid)

    def _end(self) -> None:
        for pid in self._pids:
            if self.runs(pid):
                os.kill(pid, signal.SIGKILL)
        self._process.communicate(timeout=DEADLINE)


def _serve() -> None:
    # All that a client imports, but no reactor: a child chooses and makes its own.
    import twisted.internet.endpoints
    import twisted.internet.ssl  # noqa: F401

    import gotunnel.cli.foreground
    import gotunnel.cli.roles
    import gotunnel.net.fast.relay
    import gotunnel.net.relay
    import gotunnel.tap.client  # noqa: F401

    assert "twisted.internet.reactor" not in sys.modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    for line in sys.stdin:
        config = line.strip()
        pid = os.fork()
        if not pid:
            _client(config)
        print(pid, flush=True)


def _client(config: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(f"{config}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(old, new)
    from gotunnel.cli.roles import client

    try:
        client(["--config", config, "--state", os.path.dirname(config)], prog_name="gotunnel-client")
    finally:
        os._exit(0)


if __name__ == "__main__":
    _serve()
