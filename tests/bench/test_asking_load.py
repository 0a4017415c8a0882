"""The process with the visitors, when it does not answer."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bench.process import BenchError, LoadProcess

SCRIPT = """
import json, sys
late = []
for line in sys.stdin:
    asked = json.loads(line)["do"]
    if asked == "end":
        break
    if asked == "slow":
        late.append(asked)
        continue
    for each in [*late, asked]:
        print(json.dumps({"did": each}), flush=True)
"""
"""Answers at once, except to `slow`: to that it answers when it is asked something else."""


class Started:
    """Starts that script in place of the generator."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.ended = 0

    def talk(self, module: str) -> subprocess.Popen[str]:
        """Start one."""
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.test.addCleanup(self._close, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """End one."""
        self.ended += 1
        self._close(process)

    def _close(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                continue  # what was not written any more


class LoadProcessTests(SynchronousTestCase):
    """What is asked next has its own answer, whatever became of the question before."""

    def test_late_answer(self) -> None:
        """An answer that comes too late is not taken for that of the next question."""
        started: Any = Started(self)
        load = LoadProcess(started)
        error = self.assertRaises(BenchError, load.ask, "slow", 0.1)
        self.assertIn("took more than", str(error))
        self.assertEqual(load.ask("quick"), {"did": "quick"})
        self.assertEqual(started.ended, 1)

    def test_ended(self) -> None:
        """A generator that has ended is replaced."""
        started: Any = Started(self)
        load = LoadProcess(started)
        for _ in range(2):
            self.assertIn("ended", str(self.assertRaises(BenchError, load.ask, "end")))
        self.assertEqual(load.ask("quick"), {"did": "quick"})
        load._process.kill()
        load._process.wait()
        self.assertIn("ended", str(self.assertRaises(BenchError, load.ask, "quick")))
        self.assertEqual(load.ask("quick"), {"did": "quick"})
