"""Tests of gotunnel.core.backoff."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.backoff import LEAST_DELAY, MAX_RETRY_AFTER, Backoff
from tests.core import PROPERTY


class BackoffTests(SynchronousTestCase):
    """Delays between attempts to connect."""

    def test_ceilings(self) -> None:
        """With the largest jitter the delays are the ceilings: half a second, doubling, fifteen at most."""
        backoff = Backoff(random=lambda: 1.0)
        self.assertEqual([backoff.failed() for _ in range(7)], [0.5, 1, 2, 4, 8, 15, 15])
        self.assertEqual(backoff.failures, 7)

    def test_full_jitter(self) -> None:
        """The jitter covers the whole of [0, ceiling], not its upper half."""
        backoff = Backoff(random=lambda: 0.25)
        self.assertEqual([backoff.failed() for _ in range(3)], [0.125, 0.25, 0.5])

    def test_never_at_once(self) -> None:
        """No jitter makes an attempt follow at once."""
        backoff = Backoff(random=lambda: 0.0)
        self.assertEqual(backoff.failed(), LEAST_DELAY)

    def test_default_random_differs(self) -> None:
        """Two clients that lose one server at one moment do not come back in step."""
        self.assertNotEqual([Backoff().failed() for _ in range(4)], [Backoff().failed() for _ in range(4)])

    def test_retry_after_is_a_floor(self) -> None:
        """The peer's wish is honoured, with jitter on top, up to a minute; what makes no sense is no wish."""
        for wish, floor in ((5.0, 5.0), (3600.0, MAX_RETRY_AFTER), (float("inf"), MAX_RETRY_AFTER)):
            self.assertEqual(Backoff(random=lambda: 0.5).failed(wish), floor + 0.25)
        for nonsense in (-5.0, 0.0, float("nan"), None):
            self.assertEqual(Backoff(random=lambda: 0.5).failed(nonsense), 0.25)

    def test_slow(self) -> None:
        """A refusal that a human must cure waits longer, a larger wish of the peer included."""
        self.assertEqual(Backoff(random=lambda: 1.0).slow(30), 30.5)
        self.assertEqual(Backoff(random=lambda: 1.0).slow(30, 45), 45.5)
        self.assertEqual(Backoff(random=lambda: 1.0).slow(30, 5), 30.5)
        self.assertEqual(Backoff(random=lambda: 1.0).slow(120, 90), 120.5)

    def test_stable_connection_forgives(self) -> None:
        """A connection that held long enough starts the ladder anew; one that broke sooner does not."""
        backoff = Backoff(random=lambda: 1.0)
        for _ in range(4):
            backoff.failed()
        backoff.connected(100.0)
        backoff.lost(159.9)
        self.assertEqual(backoff.ceiling, 8)
        backoff.connected(200.0)
        backoff.lost(260.0)
        self.assertEqual((backoff.ceiling, backoff.failures), (0.5, 0))

    def test_lost_without_connected(self) -> None:
        """A loss counts once: without a connection before it nothing is forgiven."""
        backoff = Backoff(random=lambda: 1.0)
        backoff.connected(0.0)
        backoff.lost(1.0)
        backoff.failed()
        backoff.lost(1000.0)
        self.assertEqual(backoff.ceiling, 1)

    def test_nonsense_is_refused(self) -> None:
        """Numbers that make no ladder are refused at once, not met as a hang later."""
        for numbers in ({"first": 0}, {"first": 20}, {"factor": 0.5}, {"stable_after": -1}):
            self.assertRaises(ValueError, Backoff, **numbers)

    @PROPERTY
    @given(
        jitter=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=2000),
        first=st.floats(0.001, 10),
        factor=st.floats(1, 100),
    )
    def test_bounds(self, jitter: list[float], first: float, factor: float) -> None:
        """However long it goes on, a delay lies within its ceiling and the ceiling within the cap."""
        draws = iter(jitter)
        backoff = Backoff(first=first, factor=factor, cap=15.0, random=lambda: next(draws))
        for _ in jitter:
            ceiling = backoff.ceiling
            self.assertLessEqual(ceiling, 15.0)
            delay = backoff.failed()
            self.assertGreaterEqual(delay, LEAST_DELAY)
            self.assertLessEqual(delay, max(LEAST_DELAY, ceiling))
            self.assertGreaterEqual(backoff.ceiling, ceiling)
