"""When a link tries again: what came before matters, and what the server has said."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.client import pace
from gotunnel.client.pace import AUTH_PAUSE, SOON, SUCCESSOR, Pace
from gotunnel.core.backoff import Backoff


class PaceTests(SynchronousTestCase):
    """With the longest delays that chance allows."""

    def pace(self) -> Pace:
        """Return one that has failed until its delays are the longest."""
        self.patch(pace, "Backoff", lambda cap=15.0: Backoff(cap=cap, random=lambda: 1.0))
        made = Pace("default")
        for _ in range(10):
            delay = made.not_reached(0.0)
        self.assertEqual(delay, 15.0)
        return made

    def test_successor(self) -> None:
        """A server that has said that it stops is sought within SOON seconds, however often it was not reached before;
        when no successor has come in time, no more."""
        made = self.pace()
        made.connected(100.0)
        self.assertEqual(made.lost(101.0, 10.0, None), SOON)
        self.assertEqual(made.not_reached(110.9 + SUCCESSOR), SOON)
        self.assertEqual(made.not_reached(111.0 + SUCCESSOR), 15.0)

    def test_lost_without_a_word(self) -> None:
        """One that is gone soon after it came is not hammered."""
        made = self.pace()
        made.connected(100.0)
        self.assertEqual(made.lost(101.0, None, None), 15.0)

    def test_asked_to_stay_away(self) -> None:
        """What the server asks for counts, also when it stops."""
        made = self.pace()
        made.connected(100.0)
        self.assertGreaterEqual(made.lost(101.0, 10.0, 20.0), 20.0)

    def test_refused(self) -> None:
        """Somebody must change something first."""
        self.assertGreaterEqual(Pace("default").refused(), AUTH_PAUSE)
        self.assertLessEqual(Pace("kubernetes").refused(), AUTH_PAUSE + 5.0)
