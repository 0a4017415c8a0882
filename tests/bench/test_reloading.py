"""The measure of reloads, in small: it runs to its end, counts what it did, and cuts nobody."""

from __future__ import annotations

import re

from tests.processes import ProcessTestCase


class ReloadingTests(ProcessTestCase):
    """`python -m bench.reloading`."""

    def test_small(self) -> None:
        """Three streams and two reloads: both lines, and all reloads are finished."""
        words = ("-m", "bench.reloading", "--streams", "3", "--reloads", "2", "--mappings", "4")
        code, said, problem = self.run_python(*words)
        self.assertEqual(code, 0, said + problem)
        for line in ("at rest", "reloads"):
            found = re.search(rf"^{line} +0 +([0-9.]+) ", said, re.MULTILINE)
            assert found is not None, said
            self.assertGreater(float(found[1]), 1.0)
        self.assertIn("4 reloads of 4 finished, 0 sessions lost", said)
