"""Real processes for tests: started with this tree on their path, waited for with a deadline, always ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

__all__ = ["DEADLINE", "FULL_TIME", "ROOT", "ProcessTestCase", "alive"]

ROOT = Path(__file__).resolve().parent.parent
"""The tree under test."""

FULL_TIME = os.environ.get("TEST_FULL_TIME", "") not in ("", "0")
"""Whether tests of long times run at their full length: processes stopped for 40 s, a silence of minutes."""

DEADLINE = 120.0 if FULL_TIME else 30.0
"""Seconds after which a wait fails; far more than is needed, for a machine that is busy."""


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie: where nothing reaps orphans, as in a container, those stay."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class ProcessTestCase(SynchronousTestCase):
    """A test that runs commands in a folder of its own, `self.folder`."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment with this tree on the path, and without what would change an outcome."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("GOTUNNEL", "STATE_", "XDG_", "NOTIFY_", "WATCHDOG_", "LISTEN_", "PYTHONUNBUFFERED"))
        }
        return {**kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(self.folder / "xdg"), **more}

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Start `python *command` in the folder; `more` adds to the environment. It is killed when the test ends."""
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self._end, process)
        return process

    def start_logged(self, name: str, *command: str, **more: str) -> subprocess.Popen[str]:
        """Like `start`; what it prints goes to `NAME.out` and `NAME.err` in the folder, for `wait_for_line`."""
        with open(self.folder / f"{name}.out", "w") as out, open(self.folder / f"{name}.err", "w") as err:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env=self.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
            )
        self.addCleanup(self._end, process)
        return process

    def wait_for_line(self, file: str, pattern: str, process: subprocess.Popen[str]) -> re.Match[str]:
        """Wait until a line of a file in the folder matches; fail when the process fails."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, (self.folder / file).read_text(), re.MULTILINE))
            return bool(found)

        self.wait_until(look, f"{pattern} in {file}", process)
        return found[0]

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for the end of a process; return its exit code, standard output and standard error."""
        out, err = process.communicate(timeout=DEADLINE)
        return process.returncode, out, err

    def run_python(self, *command: str, **more: str) -> tuple[int, str, str]:
        """Start and finish."""
        return self.finish(self.start(*command, **more))

    def wait_until(
        self,
        condition: Callable[[], bool],
        what: str,
        process: subprocess.Popen[str] | None = None,
        *,
        seconds: float = DEADLINE,
    ) -> None:
        """Wait for a condition; fail after so many seconds, or as soon as `process` has failed."""
        deadline = time.monotonic() + seconds
        while not condition():
            if process is not None and process.poll():
                logs = "".join(path.read_text() for path in self.folder.glob("*.err"))
                self.fail(
                    f"not seen: {what}; exit code {process.returncode}\n{process.communicate()}\n{logs}"
                )
            if time.monotonic() > deadline:
                self.fail(f"not seen in {seconds:.0f} s: {what}")
            time.sleep(0.01)

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()
