"""The control connection after its handshake: heartbeat, flow, ends."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import RemoteProtocolError
from gotunnel.net.control import ControlConnection
from gotunnel.net.framed import MOST_UNSENT
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.messages import Drain, Error, Message, Ping, Pong, encode
from tests.doubles import MemoryTransport


class ControlTestCase(SynchronousTestCase):
    """One end, and the test as the other one."""

    def setUp(self) -> None:
        """Connect."""
        self.messages: list[Message] = []
        self.lost: list[str] = []
        self.begin()

    def begin(self, holds: bool = False) -> None:
        """Make a connection."""
        self.clock = Clock()
        self.transport = MemoryTransport(self.clock, holds=holds)
        self.control = ControlConnection(self.clock, 10.0, 30.0, self.message, self.lost.append)
        self.transport.protocol = self.control
        self.control.makeConnection(self.transport)

    def message(self, message: Message) -> None:
        """Called for each message; a drain of 0 ms is a breach here."""
        self.messages.append(message)
        if message == Drain(0):
            raise RemoteProtocolError("no such drain")


class HeartbeatTests(ControlTestCase):
    """Pings flow both ways, and silence is death."""

    def test_pings(self) -> None:
        """One every 10 s, numbered, whatever else comes; pongs tell the round trip."""
        for number in (1, 2, 3):
            self.clock.advance(10)
            self.assertEqual(self.transport.heard(), [Ping(number)])
            self.clock.advance(0.25)
            self.transport.say(Pong(number))
            self.assertEqual(self.control.round_trip, 0.25)
            self.clock.advance(-0.25)
        self.assertEqual(self.messages, [])

    def test_answers_pings(self) -> None:
        """With the same number, at once, without asking anybody."""
        self.transport.say(Ping(41))
        self.assertEqual(self.transport.heard(), [Pong(41)])
        self.assertEqual(self.messages, [])

    def test_silence(self) -> None:
        """No byte for 30 s: it gives up and says so."""
        for _ in range(299):
            self.clock.advance(0.1)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.aborted)
        self.clock.advance(0)
        self.assertEqual(self.lost, ["nothing was received for 30 s"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_any_byte_counts(self) -> None:
        """Half a frame is a sign of life."""
        frame = encode_frame(encode(Ping(1)))
        for byte in frame[:4]:
            for _ in range(290):
                self.clock.advance(0.1)
            self.transport.say_bytes(bytes([byte]))
        self.assertFalse(self.transport.aborted)

    def test_suspended(self) -> None:
        """A process that slept for an hour gives its peer's bytes a chance to be read."""
        self.clock.advance(3600)
        self.assertFalse(self.transport.aborted)
        self.transport.say(Pong(1))
        self.clock.advance(25)
        self.assertFalse(self.transport.aborted)

    def test_answers(self) -> None:
        """A ping with a deadline: True for its pong, False when it is late or the connection is lost or closing."""
        first = self.control.answers(2.0)
        (ping,) = self.transport.heard()
        self.transport.say(Pong(ping.n))
        self.assertTrue(self.successResultOf(first))
        second = self.control.answers(2.0)
        (ping,) = self.transport.heard()
        self.transport.say(Pong(999))
        self.clock.advance(1.9)
        self.assertNoResult(second)
        self.clock.advance(0.1)
        self.assertFalse(self.successResultOf(second))
        self.transport.say(Pong(ping.n))
        third = self.control.answers(2.0)
        self.transport.lose()
        self.assertFalse(self.successResultOf(third))
        self.assertFalse(self.successResultOf(self.control.answers(2.0)))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OversleptTests(ControlTestCase):
    """A deadline that a stopped process has missed."""

    def test_answer_that_waits_to_be_read(self) -> None:
        """Who wakes long after the deadline reads first: the pong may be there. One that is not there by then is
        not waited for again."""
        first, second = self.control.answers(2.0), self.control.answers(2.0)
        pings = self.transport.heard()
        self.clock.advance(20)
        self.assertNoResult(first)
        self.transport.say(Pong(pings[0].n))
        self.assertTrue(self.successResultOf(first))
        self.clock.advance(20)
        self.assertFalse(self.successResultOf(second))

    def test_owed(self) -> None:
        """It is known for how long a ping is without an answer; the pong of a later one settles it."""
        self.assertEqual(self.control.owed, 0.0)
        self.clock.advance(10)
        self.clock.advance(3)
        (ping,) = self.transport.heard()
        self.assertEqual(self.control.owed, 3.0)
        self.transport.say(Pong(ping.n))
        self.assertEqual(self.control.owed, 0.0)


class FlowTests(ControlTestCase):
    """Who does not read his answers asks nothing more."""

    def test_stops_reading(self) -> None:
        """The transport says when 256 KiB are unsent, and when they have left."""
        self.assertEqual((MOST_UNSENT, self.transport.bufferSize), (262144, 262144))
        self.assertIs(self.transport.producer, self.control)
        self.transport.producer.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.transport.producer.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_flood(self) -> None:
        """A thousand frames in one segment are a thousand messages."""
        self.transport.say_bytes(encode_frame(encode(Ping(1))) * 1000)
        self.assertEqual(len(self.transport.heard()), 1000)

    def test_limit(self) -> None:
        """65,536 bytes pass; more is a breach, at the header."""
        self.transport.say_json(b'{"type":"drain_ok","x":"' + b"a" * (65536 - 26) + b'"}')
        self.assertEqual(len(self.messages), 1)
        self.transport.say_bytes((65537).to_bytes(4, "big"))
        self.assertEqual([m.code for m in self.transport.heard()], ["protocol_error"])


class EndTests(ControlTestCase):
    """How it ends, and what is said."""

    def test_breach(self) -> None:
        """What the session does not want is answered with `error`; nothing behind it is looked at."""
        self.transport.say_bytes(encode_frame(encode(Drain(0))) + encode_frame(encode(Drain(1))))
        self.assertEqual(self.messages, [Drain(0)])
        (error,) = self.transport.heard()
        self.assertEqual((error.code, error.reason), ("protocol_error", "no such drain"))
        self.clock.advance(0)
        self.assertEqual(self.lost, ["protocol error: no such drain"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_lets_go_of_the_producer(self) -> None:
        """TLS never closes while a producer is registered."""
        self.control.close(Error("going_away"), "why")
        self.assertIsNone(self.transport.producer)
        self.assertTrue(self.transport.closed)

    def test_close_that_is_not_read(self) -> None:
        """Two seconds, then an abort; what still comes is not kept."""
        self.begin(holds=True)
        self.control.close(Error("going_away"), "why")
        for _ in range(10):
            self.transport.say_bytes(b"x" * 65536)
        self.assertEqual(self.control._decoder.buffered, 0)
        self.clock.advance(1.9)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(0.1)
        self.assertTrue(self.transport.aborted)
        self.clock.advance(0)
        self.assertEqual(self.lost, ["why"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_after_close(self) -> None:
        """No message follows the last words."""
        self.control.close(Error("going_away"), "why")
        self.control.send(Ping(5))
        self.control.close(Error("internal"), "again")
        self.control.abort("and again")
        self.assertEqual([type(m) for m in self.transport.heard()], [Error])

    def test_close_while_messages_wait(self) -> None:
        """A session that closes while it handles a message hears of no other one."""
        self.control._on_message = lambda message: self.control.close(None, "enough")
        self.transport.say_bytes(encode_frame(encode(Drain(1))) * 3)
        self.assertEqual(self.transport.heard(), [])

    def test_lost(self) -> None:
        """The end is told once, with the words of the other end if it had any; those are printed as one line."""
        self.transport.say(Error("going_away", "x\r\n[INFO] admin ok\x1b[2J"))
        self.clock.advance(0)
        self.assertEqual(self.lost, [r"the other end says going_away: x\r\n[INFO] admin ok\x1b[2J"])
        self.begin()
        self.transport.lose()
        self.assertEqual(self.lost[1:], ["the other end closed it"])

    def test_hostile_reason_in_the_log(self) -> None:
        """Whatever a peer's `error` says, what is logged of it is one line of harmless characters."""
        from tests.server.world import World

        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        client = World().login()
        client.say(Error("internal", "x\r\n[INFO] admin ok\x1b[2J" + "A" * 60000))
        client.world.clock.advance(0)
        lines = [str(formatEvent(event)) for event in observer]
        said = [line for line in lines if "admin ok" in line]
        self.assertEqual(len(said), 1)
        self.assertTrue(all(line.isprintable() for line in lines))
        self.assertLess(len(said[0]), 400)
