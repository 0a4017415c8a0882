"""What a role adds up while it runs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.histogram import Histogram
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.core.view import LegsView, SessionState, plain


class HistogramTests(SynchronousTestCase):
    """Buckets."""

    def test_bounds_are_inclusive(self) -> None:
        """A value that is a bound counts as at most that, as Prometheus has it; what is above all is in +Inf."""
        it = Histogram((0.1, 1.0))
        for value in (0.05, 0.1, 0.2, 1.0, 7.0):
            it.observe(value)
        self.assertEqual(it.cumulated, [("0.1", 2.0), ("1.0", 4.0), ("+Inf", 5.0)])
        self.assertAlmostEqual(it.total, 8.35)

    def test_clock_set_back(self) -> None:
        """A negative time takes nothing from the sum, which must never fall."""
        it = Histogram((0.1,))
        it.observe(-5.0)
        self.assertEqual((it.cumulated[0], it.total), (("0.1", 1.0), 0.0))


class UsageTests(SynchronousTestCase):
    """Visitors."""

    def test_live_is_the_difference(self) -> None:
        """Who came and is not over is here; the bytes are those of who is over."""
        it = Usage()
        account, *_ = [it.began("c", "m") for _ in range(3)]
        it.ended(account, Outcome.COMPLETED, StreamEnd(Outcome.COMPLETED, None, 3, 5))
        it.ended(account, Outcome.NO_LEG)
        self.assertEqual((it.live, it.carried.up, it.carried.down, it.carried.ended), (1, 3, 5, 2))


class PlainTests(SynchronousTestCase):
    """Values as JSON."""

    def test_nested(self) -> None:
        """Data classes become objects, enums their words, tuples lists, also inside of each other."""
        found = plain({"legs": (LegsView(1, 2),), "state": SessionState.AWAY, "age": 0.12345678})
        legs = {"idle": 1, "busy": 2, "requested": 0, "limit": None}
        self.assertEqual(found, {"legs": [legs], "state": "away", "age": 0.123457})


class LegsTests(SynchronousTestCase):
    """Legs of several sessions."""

    def test_all_of(self) -> None:
        """All figures are added up, those that were asked for, too."""
        views = (LegsView(1, 2, 3, 10), LegsView(10, 20, 30, 10))
        self.assertEqual(LegsView.all_of(views), LegsView(11, 22, 33))
        self.assertEqual(LegsView.all_of(iter(views), 40), LegsView(11, 22, 33, 40))
