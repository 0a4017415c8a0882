"""When a link tries again: what came before matters, and what the server has said."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.client import pace
from gotunnel.client.pace import AUTH_PAUSE, SOON, SUCCESSOR, Pace
from gotunnel.config.choices import KUBERNETES
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

    def test_a_long_drain(self) -> None:
        """A server that gives its visitors an hour is sought at once, and when the hour is over: in between it is tried
        no more often than any other that is away."""
        made = self.pace()
        made.connected(100.0)
        self.assertEqual(made.lost(101.0, 3600.0, None), SOON)
        self.assertEqual(made.not_reached(100.9 + SUCCESSOR), SOON)
        self.assertEqual(made.not_reached(101.0 + SUCCESSOR), 15.0)
        self.assertEqual(made.not_reached(3700.0), 1.0 + SOON)
        self.assertEqual([made.not_reached(now) for now in (3701.0, 3700.9 + SUCCESSOR)], [SOON, SOON])
        self.assertEqual(made.not_reached(3701.0 + SUCCESSOR), 15.0)

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


class NodesTests(SynchronousTestCase):
    """profile: kubernetes."""

    def test_after_a_silence(self) -> None:
        """A path that fell silent is tried anew within a second, also when attempts had failed a moment before it was
        there: with the time that its silence takes to be noticed that is less than 20."""
        for _ in range(30):
            made = Pace("kubernetes")
            for now in range(8):
                made.not_reached(float(now))
            made.connected(8.0)
            self.assertLess(made.lost(8.0 + KUBERNETES["heartbeat_timeout"], None, None), 1.0)

    def test_cap(self) -> None:
        """However often it has failed, the next attempt follows within 5 seconds."""
        made = Pace("kubernetes")
        delays = [made.not_reached(float(now)) for now in range(200)]
        self.assertLessEqual(max(delays), 5.0)
        self.assertGreater(max(delays), 4.0)

    def test_a_connection_that_is_dropped_at_once(self) -> None:
        """It forgives nothing: a server that accepts and drops is not hammered."""
        made = Pace("kubernetes")
        delays = []
        for now in range(200):
            made.connected(float(now))
            delays.append(made.lost(float(now), None, None))
        self.assertGreater(max(delays), 4.0)
