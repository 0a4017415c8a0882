"""The script that compares the times of refused logins."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from bench.timing_auth import compare, mann_whitney, measure


class TimingTests(SynchronousTestCase):
    """Its figures, and one short run."""

    def test_mann_whitney(self) -> None:
        """A worked example of SciPy's manual: U is 17 of 20, and p without a correction for continuity 0.0864."""
        males, females = [19, 22, 16, 29, 24], [20, 11, 17, 12]
        self.assertAlmostEqual(mann_whitney(males, females), 0.0864, 3)
        self.assertEqual(mann_whitney([1, 1], [1, 1, 1]), 1.0)
        self.assertRaises(ValueError, mann_whitney, [], [1])

    def test_finds(self) -> None:
        """Samples of one kind do not differ; a shift of a tenth does, whichever of two is larger."""
        rng = random.Random(1)
        one, same = ([rng.gauss(100, 10) for _ in range(1000)] for _ in range(2))
        shifted = [value * 1.1 for value in same]
        self.assertGreater(mann_whitney(one, same), 0.01)
        self.assertLess(mann_whitney(one, shifted), 1e-6)
        self.assertLess(mann_whitney(shifted, one), 1e-6)

    def test_run(self) -> None:
        """A few logins of each kind against a real server, refused all of them, and a table."""
        lines = compare(measure(25, shared=False, seed=1))
        self.assertEqual(len(lines), 6)
        self.assertIn("unknown", lines[-1])
