"""The verdict on a target."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.health import Health


def verdicts(results: str, failures: int, successes: int) -> str:
    """Return the verdict after each of the results, + and -."""
    health, shown = Health(failures, successes), ""
    for now, result in enumerate(results):
        before = health.up
        changed = health.passed(now) is not None if result == "+" else health.failed(now)
        assert changed == (before != health.up), "a change is told when there is one, and only then"
        shown += "+" if health.up else "-"
    return shown


class HealthTests(SynchronousTestCase):
    """Rows of results and what they lead to."""

    def test_passes_for_up(self) -> None:
        """Before any probe a target passes for up."""
        self.assertTrue(Health(3, 1).up)

    def test_rows(self) -> None:
        """Failures and successes count in a row, the very first result at once."""
        for results, failures, successes, wanted in (
            ("-", 3, 1, "-"),
            ("-+", 3, 1, "-+"),
            ("-+--", 3, 1, "-+++"),
            ("-+---", 3, 1, "-+++-"),
            ("+--+--+---+", 3, 1, "+++++++++-+"),
            ("+-", 1, 1, "+-"),
            ("-+-+-+", 1, 1, "-+-+-+"),
            ("-+-++-++", 1, 2, "----+--+"),
            ("+--++-+--++", 2, 2, "++--++++--+"),
        ):
            self.assertEqual(verdicts(results, failures, successes), wanted, results)

    def test_says_for_how_long(self) -> None:
        """Up again: the seconds since it went down."""
        health = Health(1, 2)
        self.assertIsNone(health.passed(1.0))
        self.assertTrue(health.failed(10.0))
        self.assertFalse(health.failed(12.0))
        self.assertIsNone(health.passed(20.0))
        self.assertEqual(health.passed(25.5), 15.5)

    def test_every_short_row(self) -> None:
        """For all rows of eight results: it turns where a plain reading of the rule says so."""
        for failures, successes in ((1, 1), (2, 1), (3, 2), (1, 3)):
            for row in itertools.product("+-", repeat=8):
                results, up, wanted = "".join(row), True, ""
                turned = 0
                for end in range(1, 9):
                    needed = failures if up else successes
                    against = "-" if up else "+"
                    recent = results[turned:end]
                    if recent.endswith(against * needed) or results[:end] == "-":
                        up, turned = not up, end
                    wanted += "+" if up else "-"
                self.assertEqual(
                    verdicts(results, failures, successes), wanted, (results, failures, successes)
                )

    def test_nonsense(self) -> None:
        """A threshold is at least one."""
        for failures, successes in ((0, 1), (1, 0)):
            self.assertRaises(ValueError, Health, failures, successes)
