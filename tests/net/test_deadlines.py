"""Many time limits on one timer."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net.deadlines import Deadlines


class DeadlineTests(SynchronousTestCase):
    """Deadlines."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.over: list[tuple[str, float]] = []

    def start(self, key: str, seconds: float) -> None:
        self.deadlines.start(key, seconds, lambda: self.over.append((key, self.clock.seconds())))

    def test_each_in_time(self) -> None:
        """Whatever their lengths and the order in which they began, each strikes when it is due, once."""
        self.start("long", 15.0)
        self.clock.advance(1)
        self.start("short", 2.0)
        self.start("same", 15.0)
        self.clock.advance(0.5)
        self.start("middle", 5.0)
        for _ in range(400):
            self.clock.advance(0.125)
        self.assertEqual(self.over, [("short", 3.0), ("middle", 6.5), ("long", 15.0), ("same", 16.0)])
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))

    def test_stopped(self) -> None:
        """One that is stopped does not strike, and those beside it do; to stop none is harmless."""
        for key in ("a", "b", "c"):
            self.start(key, 5.0)
        self.deadlines.stop("b")
        self.deadlines.stop("b")
        self.deadlines.stop("unknown")
        self.assertEqual(len(self.deadlines), 2)
        self.clock.advance(5)
        self.assertEqual([key for key, _ in self.over], ["a", "c"])

    def test_after_a_freeze(self) -> None:
        """A process that was frozen first hears what others have said in time: what is over waits for that, once."""
        self.start("answered", 15.0)
        self.start("unanswered", 15.0)
        self.clock.advance(20)
        self.assertEqual(self.over, [])
        self.deadlines.stop("answered")
        self.start("new", 15.0)
        self.clock.advance(0.5)
        self.assertEqual(self.over, [("unanswered", 20.5)])
        self.clock.advance(14.5)
        self.assertEqual(self.over[1:], [("new", 35.0)])

    def test_one_timer(self) -> None:
        """Thousands that are over before their time cost one timer, and none when nothing is left."""
        for number in range(5000):
            self.start(str(number), 15.0)
            self.deadlines.stop(str(number))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(15)
        self.assertEqual((self.over, self.clock.getDelayedCalls()), ([], []))

    def test_started_again(self) -> None:
        """One that is stopped and started again counts from then."""
        self.start("a", 5.0)
        self.clock.advance(4)
        self.deadlines.stop("a")
        self.start("a", 5.0)
        self.clock.advance(4)
        self.assertEqual(self.over, [])
        self.clock.advance(1)
        self.assertEqual(self.over, [("a", 9.0)])

    def test_within_one(self) -> None:
        """What strikes may stop and start others, those included that are due at the same moment."""

        def act() -> None:
            self.over.append(("first", self.clock.seconds()))
            self.deadlines.stop("second")
            self.start("third", 1.0)

        self.deadlines.start("first", 5.0, act)
        self.start("second", 5.0)
        self.clock.advance(5)
        self.clock.advance(1)
        self.assertEqual(self.over, [("first", 5.0), ("third", 6.0)])

    def test_one_begun_by_another(self) -> None:
        """What one starts when it strikes does not delay those that are due before that."""
        self.deadlines.start("first", 5.0, lambda: self.start("later", 15.0))
        self.clock.advance(1)
        self.start("second", 5.0)
        for _ in range(20):
            self.clock.advance(1)
        self.assertEqual(self.over, [("second", 6.0), ("later", 20.0)])
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))

    def test_a_bug_in_one(self) -> None:
        """One that raises takes no other with it."""

        def act() -> None:
            raise ZeroDivisionError

        self.deadlines.start("bad", 5.0, act)
        self.start("good", 5.0)
        self.assertRaises(ZeroDivisionError, self.clock.advance, 5)
        self.clock.advance(0)
        self.assertEqual(self.over, [("good", 5.0)])

    def test_stop_all(self) -> None:
        """After the end nothing runs."""
        self.start("a", 5.0)
        self.deadlines.stop_all()
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))
        self.deadlines.stop_all()
