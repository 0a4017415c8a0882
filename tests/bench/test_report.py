"""What follows from samples: medians, ratios, verdicts, and a JSON file that reads back."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bench.figures import FIGURES, LIMITS
from bench.report import Report, versions_of
from bench.table import BLOCKS
from tests.bench.samples import report


class RatioTests(SynchronousTestCase):
    """Medians and ratios."""

    def test_within_a_round(self) -> None:
        """A ratio compares what was measured in the same round, so that a slow minute does not change it."""
        made = report()
        made.add("naive", {"round-trip": 4000.0})
        made.add("tls", {"round-trip": 2000.0})
        # The ratio of the medians would be 600 / 800 as well; of the first two rounds alone it is that twice.
        self.assertEqual(made.ratio("round-trip", "tls"), 0.75)
        made.samples["round-trip"]["tls"] = [100.0, 1600.0, 2000.0]
        self.assertEqual(made.ratio("round-trip", "tls"), 0.5)

    def test_failed_sample(self) -> None:
        """With a sample missing the rounds cannot be matched: medians are compared."""
        made = report()
        made.samples["round-trip"]["tls"] = [300.0]
        self.assertEqual(made.ratio("round-trip", "tls"), 0.5)

    def test_no_baseline(self) -> None:
        """Without the naive pair there is no ratio."""
        made = report()
        del made.samples["round-trip"]["naive"]
        self.assertIsNone(made.ratio("round-trip", "tls"))

    def test_middle_and_best(self) -> None:
        """The best is the least, and of a rate the most."""
        made = report()
        self.assertEqual(made.middle("round-trip", "tls"), 450.0)
        self.assertEqual(made.best("round-trip", "tls"), 300.0)
        self.assertEqual(made.best("download-rate", "plain"), 200.0)
        self.assertIsNone(made.best("upload", "plain"))


class VerdictTests(SynchronousTestCase):
    """Limits met and not met."""

    def test_both_kinds(self) -> None:
        """A ratio is judged as a ratio, a size as itself; each column has its own limit."""
        found = {(each.figure, each.subject): each for each in report().verdicts()}
        met = {key: each.met for key, each in found.items()}
        self.assertEqual(
            met,
            {
                ("round-trip", "plain"): False,  # 0.65, and 0.60 is allowed
                ("round-trip", "tls"): True,  # 0.75 of 1.00
                ("rest-server", "plain"): False,  # 63 of 62
                ("rest-server", "tls"): True,
            },
        )

    def test_as_printed(self) -> None:
        """What is printed as the limit meets it."""
        verdict = report().verdicts()[0]
        self.assertTrue(replace(verdict, value=verdict.limit + 0.004).met)
        self.assertFalse(replace(verdict, value=verdict.limit + 0.006).met)
        self.assertIsNone(replace(verdict, value=None).met)


class JsonTests(SynchronousTestCase):
    """The file."""

    def test_round_trip(self) -> None:
        """A report that is written and read is the same."""
        made = report()
        self.assertEqual(Report.from_json(made.to_json()), made)

    def test_other_format(self) -> None:
        """A file of another format is not taken for one of this."""
        text = report().to_json().replace('"format": 1', '"format": 2')
        self.assertRaises(ValueError, Report.from_json, text)

    def test_versions(self) -> None:
        """A program that is measured in two ways is named once."""
        self.assertEqual(versions_of(report()), ["naive pair 1.0", "gotunnel 2.0"])


class FigureTests(SynchronousTestCase):
    """The list of figures."""

    def test_known(self) -> None:
        """Limits and tables name figures that exist."""
        named = {limit.figure for limit in LIMITS} | {name for block in BLOCKS.values() for name in block}
        self.assertEqual(named - set(FIGURES), set())
