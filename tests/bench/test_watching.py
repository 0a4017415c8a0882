"""The measure of being watched, in small: it runs to its end, and pays for each answer."""

from __future__ import annotations

import re

from tests.processes import ProcessTestCase


class WatchingTests(ProcessTestCase):
    """`python -m bench.watching`."""

    def test_small(self) -> None:
        """A few visitors and one short round of each kind: all lines are there, with figures that are possible."""
        words = ("-m", "bench.watching", "--streams", "4", "--mappings", "2", "--rounds", "1", "--seconds", "0.2",
                 "--answers", "2")  # fmt: skip
        code, said, problem = self.run_python(*words)
        self.assertEqual(code, 0, said + problem)
        for arm in ("nobody asks", "history", "history, asked"):
            self.assertRegex(said, rf"(?m)^{arm} +[0-9,]+")
        for path in ("/metrics", "/v1/status", "/v1/usage"):
            found = re.search(rf"(?m)^{path}\S* +([0-9.]+) +[0-9,]+ +[0-9]+ s +[0-9.]+% +[0-9.]+%$", said)
            assert found is not None, said
            self.assertLess(0.01, float(found[1]))
