"""What is made of pip-audit's answers; the answers themselves need a network, and are `make audit`'s."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.hostile.audit import NOTHING_ASKED, judged

WELL = {"name": "zope-interface", "version": "8.0", "vulns": []}
ILL = {"name": "twisted", "version": "22.1", "vulns": [{"id": "PYSEC-2022-1", "fix_versions": ["22.2", "22.4"]}]}
LOST = {"name": "pyyaml", "skip_reason": "not found on PyPI"}


class AuditTests(SynchronousTestCase):
    """Exit codes and words."""

    def test_well(self) -> None:
        """All were looked up, and none has a known hole."""
        self.assertEqual(judged({"dependencies": [WELL]}), (0, ["1 packages, no known hole"]))

    def test_hole(self) -> None:
        """One has: its name, version, the hole's number and the update."""
        code, lines = judged({"dependencies": [WELL, ILL]})
        self.assertEqual((code, lines), (1, ["twisted 22.1: PYSEC-2022-1: update to 22.2 or 22.4"]))
        self.assertEqual(judged({"dependencies": [ILL, LOST]})[0], 1)

    def test_gap(self) -> None:
        """Some could not be looked up: they are named."""
        code, lines = judged({"dependencies": [WELL, LOST]})
        self.assertEqual((code, lines[0]), (0, "1 packages could not be looked up: pyyaml"))

    def test_no_data(self) -> None:
        """None could be looked up: that is no good news."""
        code, lines = judged({"dependencies": [LOST]})
        self.assertEqual(code, NOTHING_ASKED)
        self.assertIn("nothing was audited", lines[-1])
