"""The measure of what many visitors leave behind, in small."""

from __future__ import annotations

import re

from bench.endurance import LIVES
from tests.processes import ProcessTestCase


class EnduranceTests(ProcessTestCase):
    """`python -m bench.endurance`."""

    def test_small(self) -> None:
        """Some visitors of each kind: eleven looks at what both roles hold, with figures that are possible."""
        self.assertEqual(sum(share for _, share in LIVES), 100)
        code, said, problem = self.run_python("-m", "bench.endurance", "--visitors", "300", "--subject", "plain")
        self.assertIn(code, (0, 1), said + problem)  # so few say nothing about growth
        rows = re.findall(r"(?m)^ +([\d,]+) +([\d.]+) +(\d+) +([\d.]+) +(\d+)$", said)
        self.assertEqual([int(row[0].replace(",", "")) for row in rows], list(range(0, 301, 30)))
        for row in rows:
            self.assertTrue(20 < float(row[1]) < 200 and 20 < float(row[3]) < 200, said)
            self.assertTrue(5 < int(row[2]) < 200 and 5 < int(row[4]) < 200, said)
        self.assertIn("plain: 300 visitors", said)

    def test_unserved(self) -> None:
        """A visitor who loses his connection ends it with the reason, not with figures."""
        code, said, problem = self.run_python(
            "-c",
            "import sys, bench.endurance as e\n"
            "def lost(port): raise e.BenchError('a visitor lost his connection')\n"
            "e.LIVES = ((lost, 100),)\n"
            "sys.exit(e.main(['--visitors', '10']))",
        )
        self.assertEqual(code, 2, said + problem)
        self.assertEqual(said, "a visitor was not served: a visitor lost his connection\n")
