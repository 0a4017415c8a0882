"""Tests of gotunnel.core.ratelimit."""

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.ratelimit import RateLimit


class RateLimitTests(SynchronousTestCase):
    """A token bucket."""

    def test_burst_then_rate(self) -> None:
        """A burst at once, then one for each part of a second that has passed, however they come."""
        limit = RateLimit(10.0, 5, 100.0)
        self.assertEqual([limit.take(100.0) for _ in range(6)], [True] * 5 + [False])
        self.assertEqual([limit.take(100.2) for _ in range(3)], [True, True, False])
        self.assertEqual([limit.take(200.0) for _ in range(6)], [True] * 5 + [False])

    def test_sustained(self) -> None:
        """At the rate for ever; a little above it only as long as the burst lasts."""
        limit = RateLimit(100.0, 500, 0.0)
        self.assertTrue(all(limit.take(number / 100) for number in range(10_000)))
        limit = RateLimit(100.0, 500, 0.0)
        self.assertEqual(next(number for number in range(10_000) if not limit.take(number / 200)), 999)

    def test_give_back(self) -> None:
        """What does not count leaves the level as it was."""
        limit = RateLimit(1.0, 1, 0.0)
        for _ in range(100):
            self.assertTrue(limit.take(0.0))
            limit.give_back()

    def test_time_that_goes_back(self) -> None:
        """Gives nothing."""
        limit = RateLimit(1.0, 1, 10.0)
        self.assertEqual((limit.take(10.0), limit.take(5.0), limit.take(5.5)), (True, False, False))

    def test_nonsense(self) -> None:
        """Numbers that allow nothing are refused."""
        self.assertRaises(ValueError, RateLimit, 0.0, 5, 0.0)
        self.assertRaises(ValueError, RateLimit, 5.0, 0, 0.0)
