"""Pieces of time."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.history.steps import DAY, HOUR, MINUTE, Range, range_of

NOW = 20_000 * DAY + 10 * HOUR + 30 * MINUTE + 5


class RangeTests(SynchronousTestCase):
    """What is read for a wish."""

    def test_finest_that_is_kept(self) -> None:
        """A step is as long as asked while pieces so fine are kept, and longer where they are not any more."""
        self.assertEqual(range_of(NOW - HOUR, NOW, 60, NOW).size, MINUTE)
        week = range_of(NOW - 7 * DAY, NOW, 60, NOW)
        self.assertEqual((week.size, week.step), (HOUR, HOUR))
        year = range_of(NOW - 365 * DAY, NOW, HOUR, NOW)
        self.assertEqual((year.size, year.step), (DAY, DAY))

    def test_coarsest_that_will_do(self) -> None:
        """Few rows are read where few are told."""
        self.assertEqual(range_of(NOW - DAY, NOW, 3 * HOUR, NOW).size, HOUR)
        self.assertEqual(range_of(NOW - DAY, NOW, 300, NOW).size, MINUTE)
        self.assertEqual(range_of(NOW - DAY, NOW, 7 * DAY, NOW).size, DAY)

    def test_step_is_made_of_pieces(self) -> None:
        """A step that hours do not make up becomes the next one that they do."""
        found = range_of(NOW - 7 * DAY, NOW, 90 * MINUTE, NOW)
        self.assertEqual((found.size, found.step), (HOUR, 2 * HOUR))

    def test_begins_with_a_piece(self) -> None:
        """The first piece is told as a whole: its beginning is before the time that was asked for."""
        self.assertEqual(range_of(NOW - HOUR, NOW, 0, NOW), Range(MINUTE, NOW - HOUR - 5, NOW, 0))
        found = range_of(NOW - DAY, NOW, 0, NOW)
        self.assertEqual((found.size, NOW - DAY - found.since), (HOUR, 30 * MINUTE + 5))
