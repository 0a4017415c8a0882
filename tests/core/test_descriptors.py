"""Tests of gotunnel.core.descriptors."""

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.descriptors import Shares


class SharesTests(SynchronousTestCase):
    """Who may have how many file descriptors."""

    def test_usual_limits(self) -> None:
        """The figures of the documents."""
        figures = {limit: (Shares(limit).reserve, Shares(limit).streams) for limit in (256, 1024, 20_000, 1 << 20)}
        self.assertEqual(
            figures, {256: (25, 103), 1024: (102, 410), 20_000: (1024, 8976), 1 << 20: (1024, 523_264)}
        )

    def test_any_limit(self) -> None:
        """Whatever the limit, even a silly one: clients may have more than visitors, both less than there are, streams
        fit twice, and somebody may come in."""
        for limit in [*range(2, 3000), 1 << 16, 1 << 30]:
            shares = Shares(limit)
            self.assertLessEqual(shares.for_visitors, shares.for_clients)
            self.assertLessEqual(shares.for_clients, limit)
            self.assertGreater(shares.for_visitors, 0)
            self.assertGreaterEqual(min(shares.streams, shares.strangers), 1)
            self.assertLessEqual(2 * shares.streams, max(2, shares.for_visitors))
            if limit >= 64:
                self.assertGreaterEqual(shares.reserve, 16)
                self.assertLess(shares.for_visitors, shares.for_clients)
