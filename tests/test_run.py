"""The closing line of `make test`, and that a run without tests, or with a broken one, is no success."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import ROOT, ProcessTestCase
from tests.run import figures

SUITE = """
from twisted.trial import unittest
class SampleTests(unittest.SynchronousTestCase):
    def test_good(self):
        pass
    def test_other(self):
        {body}
"""


class FiguresTests(SynchronousTestCase):
    """trial's closing lines."""

    def test_lines(self) -> None:
        """Each form that trial prints is read."""
        for line, expected in [
            ("PASSED (successes=3)\n", {"successes": 3}),
            ("PASSED (skips=2, successes=411)\n", {"skips": 2, "successes": 411}),
            ("FAILED (failures=1, errors=2, successes=3)\n", {"failures": 1, "errors": 2, "successes": 3}),
            ("PASSED\n", {}),
        ]:
            self.assertEqual(figures(["Ran 3 tests in 1.0s\n", "\n", line]), expected)
        self.assertEqual(figures(["FAILED to do something\n"]), {})


class RunTests(ProcessTestCase):
    """The command itself, with a suite of its own."""

    def suite(self, body: str) -> tuple[int, str]:
        (self.folder / "test_sample.py").write_text(SUITE.format(body=body))
        code, out, _ = self.run_tests("-j2", "test_sample")
        return code, out.splitlines()[-1]

    def run_tests(self, *arguments: str) -> tuple[int, str, str]:
        return self.run_python("-m", "tests.run", *arguments, PYTHONPATH=f"{self.folder}{os.pathsep}{ROOT}")

    def test_passed(self) -> None:
        """All passed: 0."""
        self.assertEqual(self.suite("pass"), (0, "2 passed, 0 failed, 0 skipped"))

    def test_skipped(self) -> None:
        """A skipped test is counted as such."""
        self.assertEqual(self.suite("raise unittest.SkipTest('x')"), (0, "1 passed, 0 failed, 1 skipped"))

    def test_failed(self) -> None:
        """A failure and an error are failures: 1."""
        self.assertEqual(self.suite("self.fail()"), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertEqual(self.suite("1 / 0"), (1, "1 passed, 1 failed, 0 skipped"))

    def test_dead_worker(self) -> None:
        """A test that kills its process is no passed run."""
        code, closing = self.suite("import os; os._exit(0)")
        self.assertEqual(code, 1)
        self.assertNotIn(" 0 failed", closing)

    def test_none(self) -> None:
        """No test at all: 1."""
        (self.folder / "test_empty.py").write_text("")
        code, out, err = self.run_tests("test_empty")
        self.assertEqual((code, out.splitlines()[-1]), (1, "0 passed, 0 failed, 0 skipped"))
        self.assertIn("no test ran", err)
