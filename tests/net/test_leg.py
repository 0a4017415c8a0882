"""The portable leg on a transport in memory and a clock: its deadlines, and in which order it tells what."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import LocalProtocolError
from gotunnel.interfaces import ILegOwner
from gotunnel.net import leg as leg_module
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.leg import PortableLeg
from gotunnel.net.pathwatch import INTERVAL, NODES, PathWatch
from gotunnel.net.sockets import PathState
from gotunnel.wire.legbodies import RstBody
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, LegDecoder, LegFrame, data_header
from gotunnel.wire.legs import encode_leg_frame as frame
from gotunnel.wire.legstate import End, Event, State

OPENED = frame(LegFrame.OPENED, b"{}")
RST = frame(LegFrame.RST, b'{"code":"x"}')
OPEN = frame(LegFrame.OPEN, b"{}")


class Wire(StringTransport):
    """A leg's connection: what was written is unsent while `stuck` says so."""

    stuck = 0
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Near:
    """A visitor or target as the leg sees it."""

    gone = False
    partner = why = None

    def __init__(self) -> None:
        self.did: list[str] = []
        self.got = b""

    def attach(self, sink: Any) -> None:
        self.did.append("attach")
        if self.gone:
            sink.local_lost()

    def write(self, data: bytes) -> None:
        self.got += data

    def __getattr__(self, name: str) -> Any:
        return lambda: self.did.append(name)


@implementer(ILegOwner)
class Session:
    """Remembers what it is told; `then` may say what it does about one thing."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.then: dict[str, Any] = {}

    def _hear(self, what: str, *more: Any) -> None:
        self.told.append((what, *more) if more else what)
        self.then.pop(what, lambda: None)()

    def leg_open(self, leg: Any, body: bytes) -> None:
        self._hear("open")

    def leg_answered(self, leg: Any) -> None:
        self._hear("answered")

    def leg_first_byte(self, leg: Any) -> None:
        """Not part of what these tests count."""

    def leg_probed(self, leg: Any) -> None:
        self._hear("probed")

    def leg_abandoned(self, leg: Any) -> None:
        self._hear("abandoned")

    def leg_ended(self, leg: Any, end: StreamEnd) -> None:
        self._hear("ended", end.outcome)

    def leg_idle(self, leg: Any) -> None:
        self._hear("idle")

    def leg_lost(self, leg: Any, reason: str) -> None:
        self._hear("lost", reason)


class LegTestCase(SynchronousTestCase):
    """A leg with a session, a clock and a wire in memory."""

    def setUp(self) -> None:
        self.patch(leg_module, "raw_socket", lambda transport: self)
        self.patch(leg_module, "set_nodelay", lambda sock: None)
        self.keepalives: list[object] = []
        self.patch(leg_module, "set_keepalive", lambda sock, times: self.keepalives.append(times))
        self.patch(leg_module, "unsent_bytes", lambda transport: transport.stuck)
        self.patch(leg_module, "is_closing", lambda transport: False)
        self.patch(leg_module, "path_state", lambda sock: self.path)
        self.patch(leg_module, "is_gone", lambda fd, eof_means_gone: False)
        self.path: PathState | None = PathState(0, 0, False)
        self.clock = Clock()
        self.watch = PathWatch(self.clock)
        self.deadlines = Deadlines(self.clock)
        self.session = Session()
        self.near = Near()

    wire: Wire

    def fileno(self) -> int:
        """Stand in for a socket."""
        return -1

    def leg(self, end: End) -> PortableLeg:
        """Return a leg whose dials may take 10 seconds."""
        self.wire = Wire()
        leg = PortableLeg(self.clock, self.watch, self.deadlines, end, self.session, True, 10.0)
        leg.makeConnection(self.wire)
        return leg

    def timers(self) -> set[Any]:
        """Return what runs, but for the timer of the deadlines, which may outlive them."""
        return set(self.clock.getDelayedCalls()) - {self.deadlines._timer}

    def opened(self) -> PortableLeg:
        """Return an opener that serves a visitor."""
        leg = self.leg(End.OPENER)
        leg.open(self.near, b"{}")
        leg.dataReceived(OPENED)
        return leg

    def dialled(self) -> PortableLeg:
        """Return a dialler that serves a target."""
        leg = self.leg(End.DIALLER)
        leg.dataReceived(OPEN)
        leg.accept(self.near)
        return leg

    def sent(self) -> list[LegFrame]:
        """Return the types of the frames that were sent since the last call."""
        decoder = LegDecoder()
        decoder.feed(self.wire.value())
        self.wire.clear()
        kinds = []
        while (found := decoder.next()) is not None:
            kinds.append(found[0])
        return kinds

    def assert_given_up(self, leg: PortableLeg, *told: Any) -> None:
        """The leg was aborted, and told what it should; its loss comes later, and then nothing runs any more."""
        self.assertTrue(self.wire.aborted)
        self.assertIs(leg.state, State.CLOSED)
        *before, reason = told
        self.assertEqual(self.session.told[-len(before) :] if before else [], before)
        leg.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.session.told[-1], ("lost", reason))
        self.assertEqual(self.session.told.count(("lost", reason)), 1)
        self.assertEqual(len(self.deadlines), 0)
        self.assertTrue(self.timers() <= {self.watch._timer})


class ClosingTests(LegTestCase):
    """TLS is closing the connection, at the other end's wish, when the path watch looks."""

    def closing(self, leg: PortableLeg, looks: int) -> None:
        """Look so many times."""
        self.patch(leg_module, "is_closing", lambda transport: True)
        for _ in range(looks):
            leg.check(self.clock.seconds())

    def test_idle(self) -> None:
        """An idle leg is left to close in order, and is told so, not aborted."""
        leg = self.leg(End.OPENER)
        self.closing(leg, 3)
        self.assertFalse(self.wire.aborted)
        leg.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.session.told, [("lost", "the other end closed it")])

    def test_idle_that_cannot_close(self) -> None:
        """One whose last bytes do not leave has until the second look."""
        leg = self.leg(End.OPENER)
        self.wire.stuck = 1
        self.closing(leg, 1)
        self.assertFalse(self.wire.aborted)
        self.closing(leg, 1)
        self.assert_given_up(leg, "the other end has closed")

    def test_streaming(self) -> None:
        """One that streams is lost at once."""
        leg = self.opened()
        self.closing(leg, 1)
        self.assert_given_up(leg, ("ended", Outcome.LEG_LOST), "the other end has closed")


class OpenerDeadlineTests(LegTestCase):
    """How long an opener waits."""

    def test_no_answer(self) -> None:
        """Without OPENED or RST the leg is aborted 5 seconds after the dial timeout, also if the visitor has ended."""
        for ended in (False, True):
            self.setUp()
            leg = self.leg(End.OPENER)
            leg.open(self.near, b"{}")
            if ended:
                leg.local_eof()
            self.clock.advance(14.9)
            self.assertFalse(self.wire.aborted)
            self.clock.advance(0.2)
            self.assert_given_up(leg, ("ended", Outcome.DIAL_TIMEOUT), "no answer to an OPEN")
            self.assertIn("abort", self.near.did)

    def test_answered(self) -> None:
        """An answer in time ends that wait, be it OPENED or RST, before or after the visitor's end."""
        for ended in (False, True):
            for answer in (OPENED, RST):
                self.setUp()
                leg = self.leg(End.OPENER)
                leg.open(self.near, b"{}")
                if ended:
                    leg.local_eof()
                self.clock.advance(14.9)
                leg.dataReceived(answer)
                self.clock.advance(4.9)
                self.assertFalse(self.wire.aborted, f"{ended} {answer!r}")

    def test_no_done_after_rst(self) -> None:
        """Without DONE the leg is aborted 5 seconds after our RST, whatever the RST was for."""
        for cause in ("lost", "reset", "answered", "early"):
            self.setUp()
            leg = self.leg(End.OPENER) if cause == "early" else self.opened()
            if cause == "early":
                leg.open(self.near, b"{}")
                leg.local_lost()
            elif cause == "lost":
                leg.local_lost()
            elif cause == "reset":
                leg.reset("going_away")
            else:
                leg.dataReceived(RST)
            self.assertEqual(self.sent()[-1], LegFrame.RST)
            self.clock.advance(4.9)
            self.assertFalse(self.wire.aborted)
            self.clock.advance(0.2)
            outcome = {
                "lost": Outcome.RESET_BY_VISITOR,
                "reset": Outcome.DRAINED,
                "answered": Outcome.RESET_BY_TARGET,
                "early": Outcome.VISITOR_LEFT,
            }[cause]
            self.assert_given_up(leg, ("ended", outcome), "a reset was not acknowledged")

    def test_done_in_time(self) -> None:
        """DONE ends that wait, and the next visitor is not hit by it."""
        leg = self.opened()
        leg.local_lost()
        leg.dataReceived(RST + DONE_FRAME)
        self.assertEqual(self.session.told[-2:], [("ended", Outcome.RESET_BY_VISITOR), "idle"])
        leg.open(Near(), b"{}")
        leg.dataReceived(OPENED)
        self.clock.advance(60)
        self.assertFalse(self.wire.aborted)

    def test_finished_waits(self) -> None:
        """A slow target may take its time: after FIN both ways no deadline runs."""
        leg = self.opened()
        leg.local_eof()
        leg.dataReceived(FIN_FRAME)
        self.clock.advance(600)
        self.assertFalse(self.wire.aborted)
        leg.dataReceived(DONE_FRAME)
        self.assertEqual(self.session.told[-2:], [("ended", Outcome.COMPLETED), "idle"])

    def test_probe(self) -> None:
        """A probe has 2 seconds."""
        leg = self.leg(End.OPENER)
        leg.probe()
        self.clock.advance(1.9)
        leg.dataReceived(PROBE_FRAME)
        self.clock.advance(60)
        self.assertEqual(self.session.told, ["probed"])
        leg.probe()
        self.clock.advance(2.1)
        self.assert_given_up(leg, "no answer to a probe")


class DiallerDeadlineTests(LegTestCase):
    """How long a dialler waits."""

    def test_unflushed_rst(self) -> None:
        """An RST that is not in the kernel after 5 seconds aborts the leg, whatever it was for."""
        for cause in ("refused", "lost", "answered"):
            self.setUp()
            if cause == "refused":
                leg = self.leg(End.DIALLER)
                leg.dataReceived(OPEN)
                leg.refuse("refused")
            else:
                leg = self.dialled()
                if cause == "lost":
                    leg.local_lost()
                else:
                    leg.dataReceived(RST)
            self.wire.stuck = 1
            self.clock.advance(4.9)
            self.assertFalse(self.wire.aborted)
            self.clock.advance(0.2)
            self.assert_given_up(leg, "a reset was not acknowledged")

    def test_flushed_rst(self) -> None:
        """One that is flushed is forgotten; the opener may take its time."""
        leg = self.dialled()
        leg.local_lost()
        self.clock.advance(600)
        self.assertFalse(self.wire.aborted)
        self.assertIs(leg.state, State.RST_SENT)

    def test_next_visitor(self) -> None:
        """The deadline of an RST does not reach into the time of the next visitor."""
        leg = self.dialled()
        leg.dataReceived(RST)
        self.assertEqual(self.sent()[-2:], [LegFrame.RST, LegFrame.DONE])
        self.clock.advance(4.9)
        leg.dataReceived(OPEN)
        leg.accept(Near())
        self.wire.stuck = 1000
        self.clock.advance(20)
        self.assertFalse(self.wire.aborted)

    def test_abandoned(self) -> None:
        """A leg that goes while the target is dialled says so, then that the visitor's time is over."""
        for how in ("connectionLost", "close"):
            self.setUp()
            leg = self.leg(End.DIALLER)
            leg.dataReceived(OPEN)
            leg.connectionLost(Failure(ConnectionDone())) if how == "connectionLost" else leg.close()
            outcome = Outcome.LEG_LOST if how == "connectionLost" else Outcome.STOPPED
            self.assertEqual(self.session.told[:3], ["open", "abandoned", ("ended", outcome)])


class OrderTests(LegTestCase):
    """What an owner may do while he is told something, and our own mistakes."""

    def test_opens_at_once(self) -> None:
        """A leg that is idle again takes the next visitor within the call that says so."""
        leg = self.opened()
        leg.local_eof()
        second = Near()
        self.session.then["idle"] = lambda: leg.open(second, b'{"n":2}')
        self.sent()
        leg.dataReceived(FIN_FRAME + DONE_FRAME)
        self.assertEqual(self.sent(), [LegFrame.OPEN])
        leg.dataReceived(OPENED + data_header(2) + b"hi")
        self.assertEqual((self.near.got, second.got, leg.opens), (b"", b"hi", 2))

    def test_closes_when_it_hears_of_the_end(self) -> None:
        """An owner who closes the leg when a visitor's time is over is not told that it is idle."""
        leg = self.opened()
        leg.local_eof()
        self.session.then["ended"] = leg.close
        leg.dataReceived(FIN_FRAME + DONE_FRAME)
        self.assertEqual(self.session.told[-1], ("ended", Outcome.COMPLETED))
        self.assertTrue(self.wire.disconnecting)

    def test_closes_instead_of_dialling(self) -> None:
        """An owner may close the leg instead of dialling; what stands behind the OPEN is not looked at."""
        leg = self.leg(End.DIALLER)
        self.session.then["open"] = leg.close
        leg.dataReceived(OPEN + b"\xff\xff\xff\xff")
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assert_given_up(leg, "closed by this end")

    def test_answers_at_once(self) -> None:
        """A refusal or an answer within the call that asks is as good as a later one."""
        leg = self.leg(End.DIALLER)

        def refuse() -> None:
            leg.refuse("refused")
            self.assertEqual(self.session.told, ["open"], "it is told of the next frames before it has returned")

        self.session.then["open"] = refuse
        leg.dataReceived(OPEN + data_header(3) + b"abc" + FIN_FRAME + OPEN)
        self.assertEqual(self.sent(), [LegFrame.RST, LegFrame.DONE])
        self.session.then["open"] = lambda: leg.accept(self.near)
        leg.accept(self.near)
        leg.dataReceived(data_header(3) + b"def")
        self.assertEqual(self.near.got, b"def")

    def test_gone_already(self) -> None:
        """A visitor or target that is gone when it is given is reset to the other end, behind OPEN or OPENED."""
        self.near.gone = True
        self.leg(End.OPENER).open(self.near, b"{}")
        self.assertEqual(self.sent(), [LegFrame.OPEN, LegFrame.RST])
        leg = self.leg(End.DIALLER)
        leg.dataReceived(OPEN)
        leg.accept(self.near)
        self.assertEqual(self.sent(), [LegFrame.OPENED, LegFrame.RST])

    def test_reading_stops_while_dialling(self) -> None:
        """A dialler does not read on until its dial is done."""
        leg = self.leg(End.DIALLER)
        leg.dataReceived(OPEN)
        self.assertEqual(self.wire.producerState, "paused")
        leg.accept(self.near)
        self.assertEqual(self.wire.producerState, "producing")

    def test_back_pressure(self) -> None:
        """A full local stops the leg, a full leg stops the local; a local that ends lets the leg go on."""
        leg = self.opened()
        leg.local_full()
        self.assertEqual(self.wire.producerState, "paused")
        leg.local_ready()
        self.assertEqual(self.wire.producerState, "producing")
        self.wire.producer.pauseProducing()
        self.assertEqual(self.near.did[-1], "pause")
        self.wire.producer.resumeProducing()
        self.assertEqual(self.near.did[-1], "resume")
        leg.local_full()
        leg.local_lost()
        self.assertEqual(self.wire.producerState, "producing")

    def test_full_at_the_end(self) -> None:
        """A full local that has all it will get does not stop the leg: DONE is still to come, or an RST."""
        for ended in (False, True):
            leg = self.opened()
            if ended:
                leg.local_eof()
            leg.local_full()
            leg.dataReceived(FIN_FRAME)
            self.assertEqual(self.wire.producerState, "producing")
            self.assertEqual(self.near.did[-1], "finish" if ended else "half_close")

    def test_last_received(self) -> None:
        """The time of the last byte from the other end is known; what goes out does not count."""
        leg = self.leg(End.OPENER)
        self.clock.advance(5)
        leg.open(self.near, b"{}")
        self.assertEqual(leg.last_received, 0)
        leg.dataReceived(OPENED[:1])
        self.assertEqual(leg.last_received, 5)

    def test_full_when_it_begins(self) -> None:
        """A visitor is not read while the leg is full from before."""
        leg = self.leg(End.OPENER)
        self.wire.producer.pauseProducing()
        leg.open(self.near, b"{}")
        self.assertNotIn("resume", self.near.did)

    def test_mistakes(self) -> None:
        """What the owner must not do raises, and changes nothing."""
        leg = self.leg(End.OPENER)
        self.assertRaises(LocalProtocolError, leg.accept, self.near)
        self.assertRaises(LocalProtocolError, leg.refuse, "x")
        leg.open(self.near, b"{}")
        self.assertRaises(LocalProtocolError, leg.open, Near(), b"{}")
        self.assertRaises(LocalProtocolError, leg.probe)
        leg.dataReceived(OPENED)
        self.clock.advance(60)
        leg.dataReceived(data_header(1) + b"x")
        self.assertEqual((self.near.got, leg.opens, self.wire.aborted), (b"x", 1, False))

    def test_our_own_mistake(self) -> None:
        """What our side cannot do raises, names all three, and moves nothing."""
        leg = self.leg(End.DIALLER)
        error = self.assertRaises(LocalProtocolError, leg.happen, Event.START)
        self.assertEqual(str(error), "START at the dialler of a leg that is IDLE")
        self.assertIs(leg.state, State.IDLE)

    def test_closed_is_final(self) -> None:
        """A closed leg does nothing more, whatever happens."""
        for end in End:
            leg = self.leg(end)
            leg.give_up("enough")
            for event in Event:
                self.assertRaises(LocalProtocolError, leg.happen, event)

    def test_harmless(self) -> None:
        """Closing twice, and resetting where nothing streams, do nothing."""
        leg = self.leg(End.DIALLER)
        leg.reset("going_away")
        leg.dataReceived(OPEN)
        leg.reset("going_away")
        self.assertEqual(self.sent(), [])
        leg.close()
        leg.close()
        leg.reset("going_away")
        leg.give_up("again")
        leg.breach("again")
        self.assert_given_up(leg, "closed by this end")

    def test_rst_code(self) -> None:
        """The code that the owner gives travels, and does not stick to the next visitor."""
        leg = self.opened()
        leg.reset("going_away")
        self.assertIn(RstBody("going_away").encode(), self.wire.value())
        leg.dataReceived(RST + DONE_FRAME)
        self.wire.clear()
        leg.open(self.near, b"{}")
        leg.local_lost()
        self.assertIn(RstBody("visitor_left").encode(), self.wire.value())
        leg.dataReceived(RST + DONE_FRAME)
        self.wire.clear()
        leg.open(Near(), b"{}")
        leg.dataReceived(OPENED)
        leg.local_lost()
        self.assertIn(RstBody("reset").encode(), self.wire.value())


class WatchTests(LegTestCase):
    """What the path watch finds out about a leg."""

    def test_unacknowledged(self) -> None:
        """Data that nobody acknowledges for 30 seconds aborts the leg, whatever it waits for."""
        for idle in (False, True):
            leg = self.leg(End.OPENER) if idle else self.opened()
            if idle:
                leg.probe()
                leg.dataReceived(PROBE_FRAME)
            for second in range(34):
                self.path = PathState(3, second * 1000, False)
                self.clock.advance(1)
            self.assertTrue(self.wire.aborted)
            self.assertIs(leg.state, State.CLOSED)

    def test_times_for_nodes(self) -> None:
        """A relay that is told so gives new legs up sooner, and has their keepalive ask earlier."""
        self.watch.times = NODES
        leg = self.opened()
        self.assertEqual(self.keepalives[-1], NODES.keepalive)
        for second in range(19):
            self.path = PathState(3, second * 1000, False, second * 1000)
            self.clock.advance(1)
        self.assertTrue(self.wire.aborted)
        self.assertIs(leg.state, State.CLOSED)

    def test_closed_window(self) -> None:
        """A peer that merely does not read may do so for ever."""
        leg = self.opened()
        self.path = PathState(1, 10_000_000, True)
        for _ in range(600):
            self.clock.advance(1)
        self.assertIs(leg.state, State.STREAMING)

    def test_idle_is_not_watched(self) -> None:
        """The watch sleeps once an idle leg has nothing more on its way, and wakes with the next frame."""
        leg = self.dialled()
        self.path = PathState(1, 0, False)
        leg.dataReceived(RST)
        self.clock.advance(10)
        self.clock.advance(INTERVAL)
        self.assertIsNotNone(self.watch._timer)
        self.path = PathState(0, 0, False)
        self.clock.advance(INTERVAL)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.timers(), set())
        leg.dataReceived(OPEN)
        self.assertEqual(len(self.timers()), 1)

    def test_lost_is_not_watched(self) -> None:
        """A leg that is gone is forgotten."""
        leg = self.opened()
        leg.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(INTERVAL)
        self.assertEqual(self.timers(), set())
