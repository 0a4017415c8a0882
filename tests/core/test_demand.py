"""Tests of gotunnel.core.demand."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.demand import Demand
from tests.core import PROPERTY


class DemandTests(SynchronousTestCase):
    """How many legs were needed at once."""

    def test_peak_lasts(self) -> None:
        """A peak counts for one span after it was last held, then what came after it."""
        demand: Demand[str] = Demand(60.0)
        self.assertEqual((demand.peak(0.0), demand.falls_at()), (0, None))
        for leg in "abc":
            demand.began(leg, 1.0)
        for leg in "abc":
            demand.over(leg, 5.0)
        demand.began("a", 9.0)
        self.assertEqual([demand.peak(10.0), demand.peak(64.9), demand.falls_at()], [3, 3, 65.0])
        self.assertEqual([demand.peak(65.0), demand.peak(68.9), demand.peak(69.0)], [1, 1, 0])

    def test_lost_legs_do_not_add_up(self) -> None:
        """Ten visitors, one after the other, needed one leg at a time, also when each lost his."""
        demand: Demand[int] = Demand(60.0)
        for leg in range(10):
            demand.began(leg, float(leg))
            demand.forget(leg)
        self.assertEqual(demand.peak(10.0), 1)

    def test_long_visitors_age(self) -> None:
        """Who began a span ago is no demand any more, though still there."""
        demand: Demand[int] = Demand(60.0)
        demand.began(1, 0.0)
        demand.began(2, 30.0)
        self.assertEqual([demand.peak(59.9), demand.peak(89.9), demand.peak(90.0)], [2, 2, 0])

    @PROPERTY
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=60))
    def test_like_a_plain_list(self, events: list[tuple[int, int]]) -> None:
        """The peak is that of all samples within the span, taken whenever the number changes."""
        demand: Demand[int] = Demand(10.0)
        now = 0
        busy: set[int] = set()
        began: dict[int, int] = {}
        samples: list[tuple[int, int]] = []
        for leg, pause in events:
            now += pause
            began = {other: since for other, since in began.items() if since + 10 > now}
            if leg in busy:
                samples.append((now, len(began)))
                demand.over(leg, now)
                busy.discard(leg)
                began.pop(leg, None)
            else:
                busy.add(leg)
                began[leg] = now
                demand.began(leg, now)
                samples.append((now, len(began)))
            recent = [number for when, number in samples if when + 10 > now]
            self.assertEqual(demand.peak(now), max([*recent, len(began)]))
