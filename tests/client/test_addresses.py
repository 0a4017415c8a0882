"""The addresses of a server's name, over time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client.addresses import FIRST_AGAIN, LOOK_AGAIN, MOST_ADDRESSES, NameWatch
from gotunnel.errors import DialFailed


class NameWatchTests(SynchronousTestCase):
    """NameWatch, with a resolver in the test's hand."""

    def setUp(self) -> None:
        """A watch that runs."""
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.clock = Clock()
        self.asked: list[Deferred[list[str]]] = []
        self.found: list[list[str]] = []
        self.watch = NameWatch(self.clock, HostPort("tunnel.example.com", 17000), self.found.append, self.look)
        self.watch.start()

    def look(self, clock: Any, host: str, port: int, timeout: float) -> Deferred[list[str]]:
        """See resolve."""
        self.asked.append(Deferred())
        return self.asked[-1]

    def lines(self) -> list[str]:
        """Return what was logged."""
        return [str(formatEvent(event)) for event in self.log]

    def fail_one(self) -> None:
        """The last question has no answer."""
        self.asked[-1].errback(DialFailed("unknown_host", "tunnel.example.com:17000: the name does not resolve"))

    def test_again_and_again(self) -> None:
        """Each answer is told, also the same one again; the next question follows LOOK_AGAIN later."""
        self.asked[0].callback(["192.0.2.1", "192.0.2.2", "192.0.2.1"])
        self.clock.advance(LOOK_AGAIN - 0.01)
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(0.01)
        self.asked[1].callback(["192.0.2.3"])
        self.assertEqual(self.found, [["192.0.2.1", "192.0.2.2"], ["192.0.2.3"]])

    def test_no_answer(self) -> None:
        """Until it has ever resolved it is asked for more often; later a failure changes nothing. One line for each
        spell, which says what to do."""
        for number in range(3):
            self.fail_one()
            self.clock.advance(FIRST_AGAIN)
            self.assertEqual(len(self.asked), number + 2)
        self.assertEqual(len(self.lines()), 1)
        self.assertIn("does not resolve; correct client.servers", self.lines()[0])
        self.asked[-1].callback(["192.0.2.1"])
        for _ in range(2):
            self.clock.advance(LOOK_AGAIN)
            self.fail_one()
        self.assertEqual(self.found, [["192.0.2.1"]])
        self.assertEqual(len(self.lines()), 2)
        self.assertIn("the addresses known of it stay", self.lines()[1])

    def test_too_many(self) -> None:
        """Who answers for the name cannot make us connect to the whole world; it is said once."""
        many = [f"192.0.2.{number}" for number in range(MOST_ADDRESSES + 1)]
        self.asked[0].callback(many)
        self.clock.advance(LOOK_AGAIN)
        self.asked[1].callback(many)
        self.assertEqual(self.found, [many[:-1], many[:-1]])
        self.assertEqual(len(self.lines()), 1)

    def test_stop(self) -> None:
        """Stopped, it asks no more, and an answer that comes late changes nothing."""
        for answered in (False, True):
            self.setUp()
            if answered:
                self.asked[0].callback(["192.0.2.1"])
            self.watch.stop()
            self.watch.stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.clock.advance(1000)
            self.assertEqual(len(self.asked), 1)
            self.assertEqual(self.found, [["192.0.2.1"]] * answered)
        self.assertEqual(self.lines(), [])

    def test_bug(self) -> None:
        """What goes wrong in our own code is told, and does not end the watch."""
        self.asked[0].errback(ZeroDivisionError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(FIRST_AGAIN)
        self.assertEqual(len(self.asked), 2)
