"""Tests of gotunnel.core.loglimit."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.loglimit import LogLimit
from tests.core import PROPERTY


class LogLimitTests(SynchronousTestCase):
    """Lines that strangers cause."""

    def test_burst_then_rate(self) -> None:
        """The first lines pass, then as many as the rate allows; each tells how many were left out before
        it."""
        limit = LogLimit(rate=0.5, burst=2)
        self.assertEqual(
            [limit.allow("k", now) for now in (0, 0, 0, 1, 2, 2.5, 4, 100, 100, 100)],
            [
                (True, 0),
                (True, 0),
                (False, 1),
                (False, 2),
                (True, 2),
                (False, 1),
                (True, 1),
                (True, 0),
                (True, 0),
                (False, 1),
            ],
        )

    def test_keys_are_apart(self) -> None:
        """One key's flood does not silence another."""
        limit = LogLimit(rate=1, burst=1)
        for _ in range(5):
            limit.allow("loud", 0)
        self.assertEqual(limit.allow("quiet", 0), (True, 0))

    def test_many_keys_share(self) -> None:
        """A stranger with a new key for each line gets no more than the keys there is room for, and one
        more."""
        limit = LogLimit(rate=0.001, burst=2, max_keys=3)
        allowed = sum(limit.allow(number, 0)[0] for number in range(100))
        self.assertEqual(allowed, 3 + 2)

    def test_more(self) -> None:
        """The end of a line says how many were not written; None is no line."""
        limit = LogLimit(rate=1, burst=1)
        said = [limit.more("k", now) for now in (0, 0, 0, 1, 2)]
        self.assertEqual(said, ["", None, None, " (2 more like this were not logged)", ""])

    def test_full_buckets_make_room(self) -> None:
        """Keys that have been quiet are forgotten, and what they left out is still told."""
        limit = LogLimit(rate=1, burst=1, max_keys=1)
        self.assertEqual([limit.allow("a", 0) for _ in range(3)], [(True, 0), (False, 1), (False, 2)])
        self.assertEqual(limit.allow("b", 0.5), (True, 0))
        self.assertEqual(limit.allow("c", 10), (True, 0))
        self.assertEqual(limit.allow("c", 10), (False, 1))
        self.assertEqual(limit.allow("d", 10), (True, 2))

    def test_quiet_keys_make_room_for_others(self) -> None:
        """A key that is loud all the time keeps its place and does not keep newcomers out."""
        limit = LogLimit(rate=1, burst=2, max_keys=2)
        for key, now in (("loud", 0), ("quiet", 0), ("loud", 9), ("loud", 9), ("new", 9), ("loud", 9)):
            allowed = limit.allow(key, now)
        self.assertEqual(allowed, (False, 1))
        self.assertEqual([limit.allow("new", 9), limit.allow("new", 9)], [(True, 0), (False, 1)])
        # "new" took the place of "quiet"; so the shared bucket is unused when the next one comes.
        self.assertEqual(limit.allow("third", 9), (True, 0))

    def test_nonsense(self) -> None:
        """Limits that allow nothing ever are refused."""
        for numbers in ((0, 1), (1, 0), (1, 1, 0)):
            self.assertRaises(ValueError, LogLimit, *numbers)

    @PROPERTY
    @given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 3)), max_size=200))
    def test_bound(self, calls: list[tuple[int, float]]) -> None:
        """Whatever happens, the lines stay within what room for keys, burst and rate give, and none gets
        lost."""
        limit = LogLimit(rate=0.5, burst=2, max_keys=3)
        now, allowed, told = 0.0, 0, 0
        for key, pause in calls:
            now += pause
            yes, suppressed = limit.allow(key, now)
            allowed += yes
            told += suppressed if yes else 0
        self.assertLessEqual(allowed, (3 + 1) * (2 + 0.5 * now))
        self.assertLessEqual(told, len(calls) - allowed)
