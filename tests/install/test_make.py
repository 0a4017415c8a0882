"""The two commands of the README: what each of them would install."""

from __future__ import annotations

import os
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.program import need
from tests.processes import DEADLINE, ROOT


def steps(target: str) -> str:
    """Return the commands by which make would make a target in a tree where nothing has been made."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        [need("make"), "--dry-run", "--always-make", target], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        text=True, timeout=DEADLINE, check=True,
    ).stdout  # fmt: skip


class MakeTests(SynchronousTestCase):
    """Which packages a command waits for."""

    def test_demo(self) -> None:
        """`make demo` takes gotunnel alone, so that no package of the tests is in the way which cannot be had here, as
        for a Python that has just come out."""
        said = steps("demo")
        self.assertIn(" -e .\n", said)
        self.assertNotIn("test.txt", said)
        self.assertNotIn("[test", said)

    def test_test(self) -> None:
        """`make test` takes what the extra `test` names behind that, and `make check` what `dev` does."""
        for target, extras in (("test", ["test"]), ("check", ["test", "dev"])):
            said = steps(target)
            read = [said.index(f"install --quiet --disable-pip-version-check -r .venv/{extra}.txt") for extra in extras]
            self.assertEqual(read, sorted(read))
            self.assertLess(said.index(" -e .\n"), read[0])
