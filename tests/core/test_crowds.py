"""Who of many visitors has a line in the log, and what is said of the others."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.crowds import MOST_CROWDS, MOST_IN_ALL, MOST_LINES, OTHERS, WINDOW, Crowds
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.net.crowdlines import CrowdLines

END = StreamEnd(Outcome.COMPLETED, None, 3, 5)


class CrowdsTests(SynchronousTestCase):
    """The decision."""

    def setUp(self) -> None:
        self.it = Crowds()
        self.waits: list[float] = []
        self.it.gathers = self.waits.append

    def ended(self, count: int, now: float, mapping: str = "web", client: str | None = "edge") -> int:
        """So many visitors of a mapping are over; return how many have a line."""
        return sum(self.it.has_line(now, mapping, Outcome.COMPLETED, END, client) for _ in range(count))

    def test_few(self) -> None:
        """As many as may have a line have one, in each window, and nothing is left to be summed up."""
        for window in range(3):
            self.assertEqual(self.ended(MOST_LINES, window * WINDOW), MOST_LINES)
        self.assertEqual((self.it.take(), self.waits), ([], []))

    def test_many(self) -> None:
        """Who comes beyond that is in the sum with how he fared and his bytes, and the sum is to be taken when the
        window is over."""
        self.ended(MOST_LINES, 100.0)
        self.assertEqual(self.ended(7, 104.0), 0)
        self.assertFalse(self.it.has_line(104.0, "web", Outcome.NO_LEG, None, "edge"))
        self.assertEqual(self.waits, [WINDOW - 4.0])
        (crowd,) = self.it.take()
        self.assertEqual((crowd.mapping, crowd.client, crowd.count), ("web", "edge", 8))
        self.assertEqual((crowd.words, crowd.up, crowd.down), ("completed 7, no_leg 1", 21, 35))
        self.assertEqual(self.it.take(), [])

    def test_a_neighbour(self) -> None:
        """A crowd at one mapping takes no line from another one, nor from one of the same name of another client."""
        self.ended(1000, 0.0)
        self.assertEqual(self.ended(3, 0.0, "ssh"), 3)
        self.assertEqual(self.ended(3, 0.0, client="other"), 3)

    def test_many_mappings(self) -> None:
        """Crowds at a thousand mappings have as many lines as five, and the sums are limited in number too; none is
        forgotten."""
        lines = sum(self.ended(MOST_LINES + 1, 0.0, f"m{number}") for number in range(1000))
        self.assertEqual(lines, MOST_IN_ALL)
        found = self.it.take()
        self.assertEqual(len(found), MOST_CROWDS + 1)
        self.assertEqual((found[-1].mapping, found[-1].client), (OTHERS, None))
        self.assertEqual(lines + sum(crowd.count for crowd in found), 1000 * (MOST_LINES + 1))
        self.assertEqual(self.waits, [WINDOW])


class CrowdLinesTests(SynchronousTestCase):
    """How it is written."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.crowds = Crowds()
        self.it = CrowdLines(self.clock, self.crowds)
        self.seen = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def lines(self) -> list[str | None]:
        """Return what was logged."""
        return [formatEvent(event) for event in self.seen if event.get("log_namespace", "").startswith("gotunnel")]

    def ended(self, count: int) -> None:
        """So many visitors are over."""
        for _ in range(count):
            self.crowds.has_line(self.clock.seconds(), "web", Outcome.COMPLETED, END, "edge")

    def test_one_line(self) -> None:
        """A window later one line adds them up; without a crowd there is neither a line nor a timer."""
        self.ended(MOST_LINES)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.ended(50)
        self.clock.advance(WINDOW)
        words = "50 more visitors of web ended within 10 s, too many for a line each: completed 50; "
        words += "150 bytes up, 250 down"
        self.assertEqual((self.lines(), self.clock.getDelayedCalls()), ([words], []))
        self.clock.advance(WINDOW)
        self.assertEqual(self.lines(), [words])

    def test_a_flood(self) -> None:
        """A thousand visitors a second for a minute are a line for each of the first hundred of ten seconds, and one
        for all of the others."""
        for _ in range(60):
            self.ended(1000)
            self.clock.advance(1)
        self.clock.advance(WINDOW)
        counts = [int(str(line).partition(" ")[0]) for line in self.lines()]
        self.assertEqual(sum(counts) + 6 * MOST_LINES, 60_000)
        self.assertLessEqual(len(counts), 7)

    def test_the_end(self) -> None:
        """Who stops writes what was counted until then, once."""
        self.ended(MOST_LINES + 2)
        self.it.stop()
        self.it.stop()
        self.assertEqual((len(self.lines()), self.clock.getDelayedCalls()), (1, []))
