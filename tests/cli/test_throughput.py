"""What the doctor's measurement of a leg counts, and when it ends by itself."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.doctor import throughput
from gotunnel.cli.doctor.throughput import SECONDS, NotMeasured, Rate, _Down, _End, _Up, measure
from gotunnel.wire.legstate import State

PATIENCE = 4.0


class Leg:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def close(self) -> None:
        self.asked.append("close")

    def reset(self, code: str) -> None:
        self.asked.append(code)


class Transport(StringTransport):
    """Halves of it can close."""

    ended = False

    def loseWriteConnection(self) -> None:
        self.ended = True


class EndTests(SynchronousTestCase):
    """The visitor's end."""

    def begin(self, kind: type[_End]) -> _End:
        self.clock = Clock()
        end = kind(self.clock, PATIENCE)
        end.leg = self.leg = Leg()  # type: ignore[assignment]
        end.makeConnection(Transport())
        return end

    def test_down(self) -> None:
        """Bytes are counted until the last of them; what comes behind the time is not."""
        end = self.begin(_Down)
        self.assertTrue(end.transport.ended)
        for seconds, count in ((1.0, 100), (0.5, 200)):
            self.clock.advance(seconds)
            end.dataReceived(bytes(count))
        self.clock.advance(SECONDS - 0.5)
        self.assertEqual(self.leg.asked, ["measured"])
        end.dataReceived(bytes(400))
        self.clock.advance(5)
        end.connectionLost()
        self.assertEqual((end.carried, end.seconds, end.whole, end.cut), (300, 1.5, False, True))
        self.assertFalse(self.clock.getDelayedCalls())

    def test_all_of_it_came_down(self) -> None:
        """The close that follows takes its time and changes nothing."""
        end = self.begin(_Down)
        self.clock.advance(0.25)
        end.dataReceived(bytes(1000))
        end.readConnectionLost()  # type: ignore[attr-defined]
        self.clock.advance(1)
        end.connectionLost()
        self.assertEqual((end.carried, end.seconds, end.whole, self.leg.asked), (1000, 0.25, True, []))

    def test_nothing_comes_down(self) -> None:
        """After the patience it is enough."""
        end = self.begin(_Down)
        self.clock.advance(PATIENCE)
        self.assertEqual((self.leg.asked, end.cut), (["measured"], True))
        end.connectionLost()
        self.assertEqual((end.carried, end.seconds), (0, PATIENCE))

    def test_up(self) -> None:
        """It sends for its time, and counts until the word that all has arrived."""
        end = self.begin(_Up)
        end.resumeProducing()  # type: ignore[attr-defined]
        self.clock.advance(SECONDS)
        self.assertTrue(end.transport.ended)
        sent = end.carried
        end.resumeProducing()  # type: ignore[attr-defined]
        self.assertEqual(end.carried, sent)
        self.clock.advance(0.5)
        end.readConnectionLost()  # type: ignore[attr-defined]
        self.assertEqual((end.whole, end.seconds, self.leg.asked), (True, SECONDS + 0.5, []))

    def test_up_into_nothing(self) -> None:
        """Where that word never comes the leg is closed: a reset would wait behind what is on its way."""
        end = self.begin(_Up)
        end.resumeProducing()  # type: ignore[attr-defined]
        self.clock.advance(SECONDS)
        self.clock.advance(PATIENCE)
        self.assertEqual((self.leg.asked, end.whole, end.cut), (["close"], False, True))
        self.assertEqual(end.seconds, SECONDS + PATIENCE)


class MeasureTests(SynchronousTestCase):
    """Both directions."""

    def test_without_the_way(self) -> None:
        """The word that it has arrived takes a round trip of its own, which is no time of the bytes; less than nothing
        is not told."""

        async def visit(reactor: Any, relay: Any, leg: Any, owner: Any, end: _End, volume: int) -> None:
            end.carried, end.seconds, end.whole = 1000, 0.5, True

        self.patch(throughput, "_visit", visit)

        def make(owner: Any) -> Any:
            owner.gone.callback(None)
            return Leg()

        for round_trip, seconds in ((0.1, 0.4), (2.0, 1e-6)):
            rates = self.successResultOf(Deferred.fromCoroutine(measure(Clock(), None, make, round_trip, 1)))  # type: ignore[arg-type]
            self.assertEqual(rates, (Rate(1000, seconds), Rate(1000, seconds)))

    def test_leg_that_is_lost(self) -> None:
        """A leg that is lost ahead of its visitor, or between two of them, is a measurement that was not made."""

        def make(owner: Any) -> Any:
            owner.gone.callback(None)
            leg: Any = Leg()
            leg.state = State.CLOSED
            return leg

        relay: Any = None
        measuring = Deferred.fromCoroutine(measure(Clock(), relay, make, 0.1, 1))
        self.assertEqual(str(self.failureResultOf(measuring, NotMeasured).value), "leg_lost after 0 bytes")
