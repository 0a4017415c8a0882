"""The pace of a link for nodes: what the profile promises in seconds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.client.pace import Pace
from gotunnel.config.choices import KUBERNETES


class NodesTests(SynchronousTestCase):
    """profile: kubernetes."""

    def test_after_a_silence(self) -> None:
        """A path that fell silent is tried anew within a second, also when attempts had failed a moment before it was
        there: with the time that its silence takes to be noticed that is less than 20."""
        for _ in range(30):
            pace = Pace("kubernetes")
            for now in range(8):
                pace.not_reached(float(now))
            pace.connected(8.0)
            self.assertLess(pace.lost(8.0 + KUBERNETES["heartbeat_timeout"], None, None), 1.0)

    def test_cap(self) -> None:
        """However often it has failed, the next attempt follows within 5 seconds."""
        pace = Pace("kubernetes")
        delays = [pace.not_reached(float(now)) for now in range(200)]
        self.assertLessEqual(max(delays), 5.0)
        self.assertGreater(max(delays), 4.0)

    def test_a_connection_that_is_dropped_at_once(self) -> None:
        """It forgives nothing: a server that accepts and drops is not hammered."""
        pace = Pace("kubernetes")
        delays = []
        for now in range(200):
            pace.connected(float(now))
            delays.append(pace.lost(float(now), None, None))
        self.assertGreater(max(delays), 4.0)
