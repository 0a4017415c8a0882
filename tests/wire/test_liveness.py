"""When a ping is due, and when a peer counts as dead. Time is a number here."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.liveness import Liveness

from .strategies import PROPERTY


def run(live: Liveness, now: float, end: float, answers: float | None = None) -> list[tuple[str, float]]:
    """Check when it is planned until `end`; a peer that `answers` sends bytes so many seconds after each ping."""
    told: list[tuple[str, float]] = []
    while True:
        now += live.next_check(now)
        if now > end:
            return told
        what = live.due(now)
        if what is not None:
            told.append((what, now))
        if what == "dead":
            return told
        if what == "ping":
            live.ping(now)
            if answers is not None:
                live.received(now + answers)


class PingTests(SynchronousTestCase):
    """Pings."""

    def test_every_interval(self) -> None:
        """A ping is due every interval from the start, and no earlier."""
        live = Liveness(10, 30, 100)
        self.assertEqual(run(live, 100, 145, answers=0.1), [("ping", t) for t in (110, 120, 130, 140)])
        early = Liveness(10, 30, 100)
        self.assertEqual((early.due(109.9), early.due(110)), (None, "ping"))

    def test_counted_from_the_last_ping(self) -> None:
        """A ping sent late moves the next one; received bytes do not."""
        live = Liveness(10, 30, 0)
        live.ping(13)
        live.received(20)
        self.assertEqual(live.next_check(20), 3)
        self.assertEqual((live.due(22.9), live.due(23)), (None, "ping"))

    def test_due_until_sent(self) -> None:
        """A ping that could not be sent stays due."""
        live = Liveness(10, 30, 0)
        self.assertEqual((live.due(10), live.due(11)), ("ping", "ping"))
        self.assertEqual(live.next_check(11), 0)
        live.ping(11)
        self.assertIsNone(live.due(11))

    def test_numbers_and_round_trip(self) -> None:
        """Pings count from 1; the pong of each gives its round trip, also when a later ping is out."""
        live = Liveness(10, 30, 0)
        self.assertIsNone(live.round_trip)
        self.assertEqual((live.ping(10), live.ping(20)), (1, 2))
        self.assertEqual(live.pong(1, 20.5), 10.5)
        self.assertEqual(live.pong(2, 20.75), 0.75)
        self.assertEqual(live.round_trip, 0.75)

    def test_foreign_pongs(self) -> None:
        """A pong twice, of the past or of a ping that was never sent measures nothing, and forgets nothing."""
        live = Liveness(10, 30, 0)
        live.ping(10)
        for n in (0, 2, 2**64 - 1):
            self.assertIsNone(live.pong(n, 11))
        self.assertEqual(live.pong(1, 12), 2)
        self.assertIsNone(live.pong(1, 13))
        self.assertEqual(live.round_trip, 2)

    def test_memory(self) -> None:
        """A peer that never answers costs no more memory with each ping."""
        live = Liveness(10, 30, 0)
        for turn in range(1000):
            live.ping(turn)
        self.assertTrue(len(live._pings) < 100)
        self.assertEqual(live.pong(1000, 1000), 1)


class DeathTests(SynchronousTestCase):
    """Silence."""

    def test_exactly_at_the_timeout(self) -> None:
        """Silent from the start: two pings, then dead at the timeout, and no check later than that."""
        live = Liveness(10, 30, 0)
        self.assertEqual(run(live, 0, 100), [("ping", 10), ("ping", 20), ("dead", 30)])

    def test_timeout_between_pings(self) -> None:
        """The check is planned for death when that comes before the next ping."""
        live = Liveness(10, 25, 0)
        self.assertEqual(run(live, 0, 100), [("ping", 10), ("ping", 20), ("dead", 25)])

    def test_any_byte_counts(self) -> None:
        """The silence starts again with every byte, pong or not."""
        live = Liveness(10, 30, 0)
        live.received(29)
        live.ping(30)
        live.ping(40)
        live.ping(50)
        live.next_check(50)
        self.assertEqual((live.due(58.9), live.due(59)), (None, "dead"))

    def test_stays_dead(self) -> None:
        """Asked again without a byte, it does not revive."""
        live = Liveness(10, 30, 0)
        run(live, 0, 100)
        self.assertEqual((live.due(30.1), live.due(30.2)), ("dead", "dead"))

    def test_bad_settings(self) -> None:
        """A timeout that leaves no time for a ping is refused."""
        for interval, timeout in ((0, 30), (-1, 30), (30, 30), (30, 10), (float("nan"), 30)):
            self.assertRaises(ValueError, Liveness, interval, timeout, 0)


class SuspensionTests(SynchronousTestCase):
    """A process that did not run for a while."""

    def suspended(self, seconds: float) -> tuple[Liveness, float]:
        """Return one that was alive until it was suspended, for so long, right after a check at 10."""
        live = Liveness(10, 30, 0)
        live.received(10)
        live.due(10)
        live.ping(10)
        live.next_check(10)
        return live, 10 + seconds

    def test_gets_one_chance_to_read(self) -> None:
        """However long it was, the first check does not say dead; bytes that were waiting then save the session."""
        for seconds in (40, 3600, 10**6):
            live, now = self.suspended(seconds)
            self.assertEqual(live.due(now), "ping")
            live.ping(now)
            live.received(now + 0.001)
            self.assertEqual(
                run(live, now, now + 45, answers=0.1), [("ping", now + t) for t in (10, 20, 30, 40)]
            )

    def test_then_silence_means_death(self) -> None:
        """With nothing to read it is over after one interval, not after a whole timeout."""
        live, now = self.suspended(3600)
        live.due(now)
        live.ping(now)
        self.assertEqual(run(live, now, now + 100), [("dead", now + 10)])

    def test_granted_once(self) -> None:
        """A second suspension in the same silence is granted nothing: an end that is always late gives up too."""
        live, now = self.suspended(3600)
        live.due(now)
        live.next_check(now)
        self.assertEqual(live.due(now + 3600), "dead")

    def test_granted_again_after_a_byte(self) -> None:
        """Each silence has its own grant."""
        live, now = self.suspended(3600)
        live.due(now)
        live.received(now)
        live.ping(now)
        live.next_check(now)
        self.assertEqual(live.due(now + 3600), "ping")

    def test_short_delay_grants_nothing(self) -> None:
        """A check late by no more than an interval judges as always."""
        live = Liveness(10, 30, 0)
        live.ping(10)
        live.ping(20)
        live.next_check(20)
        self.assertEqual(live.due(40), "dead")
        live = Liveness(10, 30, 0)
        live.ping(10)
        live.ping(20)
        live.next_check(20)
        self.assertEqual(live.due(40.1), "ping")

    def test_never_shortens(self) -> None:
        """The grant does not bring death nearer when much of the silence is still to come."""
        live = Liveness(1, 30, 0)
        live.received(5)
        self.assertEqual(live.due(6), "ping")
        live.ping(6)
        live.next_check(6)
        self.assertEqual((live.due(34.9), live.due(35)), ("ping", "dead"))

    @PROPERTY
    @given(st.floats(0.5, 60), st.floats(1.1, 10), st.lists(st.floats(0, 500), min_size=1, max_size=30))
    def test_bounds(self, interval: float, factor: float, lateness: list[float]) -> None:
        """However late the checks are: never dead before the timeout, and dead at the first check after the timeout
        plus one grant."""
        timeout = interval * factor
        live, now = Liveness(interval, timeout, 0), 0.0
        overdue = 0
        for late in lateness:
            now += live.next_check(now) + late
            what = live.due(now)
            if what == "dead":
                self.assertTrue(now >= timeout)
                return
            overdue += now >= timeout
            self.assertTrue(overdue <= 2)
            if what == "ping":
                live.ping(now)
