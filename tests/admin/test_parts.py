"""The parts of the admin ring that know no role: how late the loop is, what has happened, JSON in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.admin import pieces
from gotunnel.admin.events import MOST, Events
from gotunnel.admin.lag import Lag
from gotunnel.admin.pieces import Pieces
from gotunnel.logs import Logger

log = Logger(namespace="gotunnel.tests")


class LagTests(SynchronousTestCase):
    """The timer that looks at the clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lag = Lag(self.clock)
        self.lag.start()

    def test_longest_is_remembered_for_a_while(self) -> None:
        """A stall of two seconds shows for half a minute, also when shorter ones follow, and then no more."""
        self.clock.advance(2.5)
        self.assertAlmostEqual(self.lag.longest, 2.0)
        self.clock.advance(0.6)
        self.assertAlmostEqual(self.lag.longest, 2.0)
        self.clock.pump([0.5] * 70)
        self.assertAlmostEqual(self.lag.longest, 0.0)
        self.lag.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_going_on(self) -> None:
        """Who is asked in the middle of a stall says so, before the timer has run."""
        self.clock.rightNow += 9.0
        self.assertAlmostEqual(self.lag.longest, 8.5)
        self.lag.stop()


class EventTests(SynchronousTestCase):
    """What is remembered."""

    def test_what_is_kept(self) -> None:
        """Events and warnings are kept, the latest first and not without bound; the lines of visitors are not, unless
        they are warnings; control characters are escaped."""
        events = Events()
        events.start()
        self.addCleanup(events.stop)
        log.info("visitor {visitor} of {mapping} ended", visitor="v", mapping="m")
        log.info("client {client} connected", client="a\x1b[2J")
        log.warn("visitor {visitor} is reset", visitor="v")
        self.assertEqual([(each.level, each.text) for each in events.latest],
                         [("warn", "visitor v is reset"), ("info", "client a\\x1b[2J connected")])  # fmt: skip
        for number in range(MOST + 5):
            log.info("event {number}", number=number)
        self.assertEqual((len(events.latest), events.latest[0].text), (MOST, f"event {MOST + 4}"))


class Consumer:
    """Who is written to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)


class PieceTests(SynchronousTestCase):
    """Long answers."""

    def setUp(self) -> None:
        self.clock, self.consumer, self.done = Clock(), Consumer(), 0
        self.patch(pieces, "SLICE", 0.0)  # each look at the clock ends a turn

    def begin(self, items: Iterator[Any]) -> Pieces:
        def done() -> None:
            self.done += 1

        made = Pieces(self.clock, {"a": 1, "items": items, "b": None}, self.consumer, done)
        made.start()
        return made

    def test_whole(self) -> None:
        """All pieces together are one JSON object, and none is made in the turn of another."""
        self.begin(iter(range(100)))
        self.clock.advance(0)
        self.assertEqual(json.loads(b"".join(self.consumer.written)), {"a": 1, "items": list(range(100)), "b": None})
        self.assertGreater(len(self.consumer.written), 4)
        self.assertEqual((self.done, self.consumer.producer, self.clock.getDelayedCalls()), (1, None, []))

    def test_empty(self) -> None:
        """An empty list is one."""
        self.begin(iter(()))
        self.assertEqual(json.loads(b"".join(self.consumer.written))["items"], [])

    def test_slow_reader(self) -> None:
        """While he does not read nothing more is made."""
        made: list[int] = []

        def items() -> Iterator[int]:
            for number in range(100):
                made.append(number)
                yield number

        self.begin(items())
        self.consumer.producer.pauseProducing()
        count = len(made)
        self.clock.pump([0.0] * 20)
        self.assertLessEqual(len(made), count)
        self.consumer.producer.resumeProducing()
        self.clock.pump([0.0] * 20)
        self.assertEqual((len(made), self.done), (100, 1))

    def test_gone(self) -> None:
        """When he is gone nothing is left to do."""
        self.begin(iter(range(100)))
        self.consumer.producer.stopProducing()
        self.clock.pump([0.0] * 5)
        self.assertEqual((self.clock.getDelayedCalls(), self.done), ([], 0))
