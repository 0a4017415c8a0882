"""The lasting tie to a server: when a client tries again, and how it stops."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.client import link, pace
from gotunnel.client.ending import LAST_WORDS
from gotunnel.client.leaving import IN_FLIGHT
from gotunnel.client.pace import SOON, SUCCESSOR
from gotunnel.core.backoff import Backoff
from gotunnel.net.dialling import LEFT
from gotunnel.net.patience import LOOK
from gotunnel.wire.messages import Drain, DrainOk, Error, MappingResult, NeedLegs, Register, RegisterResp
from tests.client.world import ClientTestCase, FakeServer, World
from tests.doubles import FakeLeg


class Half:
    """random.random for tests: always one half."""

    def __call__(self) -> float:
        return 0.5


class ReconnectTests(ClientTestCase):
    """For ever, and with more and more time in between."""

    def world(self) -> World:
        """A client whose jitter is always one half."""
        self.patch(pace, "Backoff", lambda: Backoff(random=Half()))
        return World()

    def times(self, world: World, count: int) -> list[float]:
        """Let time pass until there were so many attempts; return the seconds between them."""
        world.run_until(lambda: len(world.path.attempts) >= count, 1000, 0.0078125)
        at = [when for when, *_ in world.path.attempts]
        return [round(b - a, 2) for a, b in pairwise(at)]

    def test_ladder(self) -> None:
        """The first attempt may fail like any other; ceilings double from 0.5 s to 15 s, and it goes on for ever."""
        world = self.world()
        world.path.fails = "connection refused"
        world.links.start()
        found = self.times(world, 40)
        expected = [0.25, 0.5, 1.0, 2.0, 4.0] + [7.5] * 34
        for one, other in zip(found, expected, strict=True):
            self.assertLess(abs(one - other), 0.02, found)

    def test_full_jitter(self) -> None:
        """Delays come from the whole range, not from around its end."""
        backoff = Backoff()
        delays = [backoff.failed() for _ in range(300)][6:]
        self.assertLess(min(delays), 2)
        self.assertGreater(max(delays), 13)
        self.assertLessEqual(max(delays), 15)

    def test_lost(self) -> None:
        """A lost session is followed by a new attempt; all mappings are registered again."""
        world = self.world()
        server = world.connected()
        self.assertEqual([m.name for m in server.grant()[0].mappings], ["web"])
        server.transport.lose()
        world.run_until(lambda: len(world.path.attempts) == 2)
        self.assertEqual([m.name for m in world.connected().grant()[0].mappings], ["web"])

    def test_short_sessions_do_not_reset_the_ladder(self) -> None:
        """A server that lets us in and drops us is not hammered; one that held for a minute is tried at once again."""
        world = self.world()
        for number in range(1, 8):
            world.connected().transport.lose()
            world.run_until(lambda count=number: len(world.path.attempts) > count)  # type: ignore[misc]
        last, before = world.path.attempts[-1][0], world.path.attempts[-2][0]
        self.assertGreater(last - before, 7)
        server = world.connected(heartbeat=100, timeout=1000)
        world.clock.advance(61)
        server.transport.lose()
        lost = world.clock.seconds()
        count = len(world.path.attempts)
        world.run_until(lambda: len(world.path.attempts) > count)
        self.assertLess(world.clock.seconds() - lost, 0.4)

    def test_wrong_token(self) -> None:
        """Refused, it tries more slowly, and for ever: at least 5 s; the server's wish counts too."""
        for wish, least in ((None, 5.0), (20.0, 20.0), (9999.0, 60.0)):
            world = self.world()
            world.links.start()
            for number in range(1, 4):
                server = world.server().challenge()
                server.transport.payloads()
                server.say(Error("auth_failed", "the client name or the token is wrong", wish))
                world.run_until(lambda w=world, count=number: len(w.path.attempts) > count)  # type: ignore[misc]
            at = [when for when, *_ in world.path.attempts]
            for one, other in pairwise(at):
                self.assertGreaterEqual(other - one, least)
                self.assertLess(other - one, least + 4)

    def test_error_is_a_hint(self) -> None:
        """An `error` ahead of the proof, whoever sent it, is never final, whatever it says."""
        for code in ("auth_failed", "stale", "version", "tls_required", "name_in_use", "going_away", "unheard_of"):
            world = self.world()
            world.links.start()
            world.server().transport.payloads()
            world.server().say(Error(code, "go away for good"))
            world.run_until(lambda w=world: len(w.path.attempts) == 2)  # type: ignore[misc]
            world.connected().grant()
            self.assertIsNotNone(world.link.session)

    def test_retry_after_of_a_session(self) -> None:
        """The wish of a proved server counts, too."""
        world = self.world()
        world.connected().say(Error("going_away", "maintenance", 30.0))
        began = world.clock.seconds()
        world.run_until(lambda: len(world.path.attempts) == 2)
        self.assertGreaterEqual(world.clock.seconds() - began, 30.0)

    def test_server_that_does_not_know_the_token(self) -> None:
        """Who cannot prove himself gets no registers; it is said, and the client waits."""
        world = self.world()
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        world.server_token = "0" * 32
        world.links.start()
        server = world.server().challenge()
        server.handshake._keys_for = lambda name: ()
        (auth,) = server.transport.payloads()
        server.transport.say_json(
            b'{"type":"auth_ok","mac":"' + b"0" * 64 + b'","heartbeat":10,"heartbeat_timeout":30,'
            b'"limits":{"mappings":1,"legs":1,"visitors":1}}'
        )
        self.assertEqual(server.transport.payloads(), [])
        self.assertTrue(server.transport.aborted)
        self.assertIn(b'"auth"', auth)
        self.assertTrue(any("does not hold our token" in str(formatEvent(event)) for event in observer))

    def test_server_of_version_1(self) -> None:
        """Its answer, real or forged, never makes the client send its token, nor anything but hello."""
        world = self.world()
        world.links.start()
        for number in range(1, 6):
            server = world.server()
            said = server.transport.value()
            server.transport.say_json(b'{"type":"register_resp","status":"fail","reason":"authentication failed"}')
            self.assertEqual(server.transport.value(), said)
            self.assertNotIn(b"7f3a9c51", said)
            self.assertEqual(json.loads(said[4:])["type"], "hello")
            world.run_until(lambda count=number: len(world.path.attempts) > count)  # type: ignore[misc]

    def test_bug(self) -> None:
        """An error that nobody foresaw is logged, and does not end the client."""
        world = self.world()
        self.patch(link, "hand_over", lambda *_: 1 / 0)
        server = world.connected()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(server.transport.aborted)
        self.assertIsNone(world.link.session)
        world.run_until(lambda: len(world.path.attempts) == 2)

    def test_failure_of_the_last_attempt(self) -> None:
        """A refusal is not kept as the failure of a later attempt that broke down: callers would raise it."""
        world = World()
        world.links.start()
        server = world.server().challenge()
        server.transport.payloads()
        server.say(Error("auth_failed", "the client name or the token is wrong"))
        self.patch(link, "greet", lambda *_: 1 / 0)
        world.run_until(lambda: "internal error" in world.link.trouble)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertIsNone(world.link.failure)

    def test_three_hundred(self) -> None:
        """300 sessions leave nothing behind: no timer, no session."""
        world = self.world()
        for _ in range(300):
            server = world.connected()
            server.grant("port_in_use")  # which arms a timer to ask again
            server.legs()
            server.transport.lose()
            count = len(world.path.attempts)
            world.run_until(lambda count=count: len(world.path.attempts) > count, 100, 1.0)  # type: ignore[misc]
        self.assertEqual(len(world.link._sessions), 0)
        world.stop()
        world.clock.advance(0)
        self.assertEqual(world.clock.getDelayedCalls(), [])


class StopTests(ClientTestCase):
    """A client stops whatever it is at."""

    def assertStopped(self, world: World, done: list[object], cut: int = 0) -> None:
        """It is over within the next moment, so many visitors were cut, nothing is left, and nothing comes any more."""
        world.clock.pump([0, 0, LOOK, 0])
        self.assertEqual(done, [cut])
        self.assertEqual(world.clock.getDelayedCalls(), [])
        count = len(world.path.attempts)
        world.clock.advance(1000)
        self.assertEqual(len(world.path.attempts), count)

    def test_while_connecting(self) -> None:
        """At once; the attempt is cancelled. Also while the name is looked up, where that looks like a failure."""
        for looks_like_failure in (False, True):
            world = World()
            world.path.hangs, world.path.cancels_as_failure = True, looks_like_failure
            world.links.start()
            done = world.stop()
            self.assertEqual(world.path.cancelled, 1)
            self.assertStopped(world, done)

    def test_attempt_that_breaks_down(self) -> None:
        """At once, too, if the attempt that is given up fails in a way that nobody foresaw: none follows."""
        world = World()

        async def broken(*_: object) -> None:
            try:
                await Deferred()
            except CancelledError:
                raise ZeroDivisionError from None

        self.patch(link, "greet", broken)
        world.links.start()
        done = world.stop()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertStopped(world, done)

    def test_while_greeting(self) -> None:
        """At once; the connection is aborted."""
        world = World()
        world.links.start()
        done = world.stop()
        self.assertTrue(world.path.attempts[0][2].aborted)
        self.assertStopped(world, done)

    def test_while_sleeping(self) -> None:
        """At once."""
        world = World()
        world.path.fails = "connection refused"
        world.links.start()
        self.assertStopped(world, world.stop())

    def test_while_idle(self) -> None:
        """The server is told; when it has agreed and closed its idle legs, the connection is closed in order."""
        world = World()
        server = world.connected()
        server.grant()
        (leg,) = server.legs()
        done = world.stop()
        self.assertEqual(server.heard(), [Drain(10000)])
        leg.lose()
        self.assertFalse(server.transport.closed)
        server.say(DrainOk())
        self.assertTrue(server.transport.closed)
        self.assertStopped(world, done)

    def test_server_that_never_agrees(self) -> None:
        """It is waited for as long as an OPEN may be under way, and no longer; nor longer than visitors have."""
        for seconds in (10, 3):
            world = World()
            server = world.connected()
            (leg,) = server.legs()
            done = world.stop(seconds)
            server.say(NeedLegs(False, 2))
            world.clock.advance(min(seconds, IN_FLIGHT) - 0.1)
            self.assertEqual((done, leg.closed, len(world.path.attempts)), ([], False, 2))
            world.clock.advance(0.2)
            self.assertTrue(leg.closed)
            self.assertStopped(world, done)

    def test_open_under_way(self) -> None:
        """A server has agreed and has opened something before: that visitor is served, although there was none when
        the client was asked to stop."""
        world = World()
        server = world.connected()
        (leg,) = server.legs()
        done = world.stop()
        server.say(DrainOk())
        world.clock.advance(IN_FLIGHT - 0.1)
        leg.receive_open(server.open_body(leg))
        world.relay.dials[0][1].callback(object())
        world.clock.advance(1)
        self.assertEqual((done, leg.closed, server.transport.gone), ([], False, False))
        leg.finish()
        world.clock.advance(LOOK)
        self.assertEqual((done, leg.closed, server.transport.gone), ([], False, False))
        leg.lose()  # the server has passed on the last bytes
        self.assertStopped(world, done)
        self.assertEqual(leg.resets, [])

    def test_last_bytes_that_stay(self) -> None:
        """A server that has agreed and does not close a leg is waited for as long as visitors would be."""
        world = World()
        server = world.connected()
        (leg,) = server.legs()
        leg.receive_open(server.open_body(leg))
        world.relay.dials[0][1].callback(object())
        done = world.stop(10)
        server.say(DrainOk())
        leg.finish()
        world.clock.advance(9.9)
        self.assertEqual((done, leg.closed, server.transport.gone), ([], False, False))
        world.clock.advance(0.2)
        self.assertTrue(server.transport.gone)
        world.clock.advance(LAST_WORDS)
        self.assertStopped(world, done)
        self.assertTrue(leg.closed)

    def test_asked_again(self) -> None:
        """Who asks again can shorten the time, and not lengthen it; both are told, and so is who asks afterwards."""
        world = World()
        server = world.connected()
        (leg,) = server.legs()
        leg.receive_open(server.open_body(leg))
        world.relay.dials[0][1].callback(object())
        first, second, third = world.stop(600), world.stop(10), world.stop(20)
        self.assertEqual([m for m in server.heard() if isinstance(m, Drain)], [Drain(600_000)])
        world.clock.advance(9.9)
        self.assertEqual(leg.resets, [])
        world.clock.advance(0.2)
        self.assertEqual(leg.resets, ["going_away"])
        leg.finish()
        leg.lose()
        self.assertStopped(world, first, cut=1)
        self.assertEqual((second, third, world.stop()), ([1], [1], [1]))

    def test_with_a_refused_mapping(self) -> None:
        """A port that the server has refused is not asked for any more while visitors finish: nobody would serve it.
        Nor is one whose refusal arrives only now."""
        for late in (False, True):
            world = World()
            server = world.connected()
            (asked,) = [m for m in server.heard() if isinstance(m, Register)]
            refused = RegisterResp(asked.id, "ok", (MappingResult("web", "fail", None, "port_in_use", "because"),))
            if not late:
                server.say(refused)
            (leg,) = server.legs()
            leg.receive_open(server.open_body(leg))
            world.relay.dials[0][1].callback(object())
            done = world.stop(100)
            if late:
                server.say(refused)
            server.say(DrainOk())
            world.clock.advance(25)
            self.assertEqual([m for m in server.heard() if isinstance(m, Register)], [])
            leg.finish()
            leg.lose()
            self.assertStopped(world, done)

    def test_while_a_leg_is_dialled(self) -> None:
        """It is cancelled."""
        world = World()
        server = world.connected()
        world.path.hangs = True
        server.say(NeedLegs(False, 3))
        done = world.stop()
        world.clock.advance(0)
        self.assertEqual(world.path.cancelled, 3)
        server.say(DrainOk())
        self.assertStopped(world, done)

    def test_while_streaming(self) -> None:
        """It waits for its visitors, and no longer than until the last one is done."""
        world = World()
        server = world.connected()
        (leg,) = server.legs()
        leg.receive_open(server.open_body(leg))
        world.relay.dials[0][1].callback(object())
        done = world.stop(10)
        world.clock.advance(5)
        self.assertEqual((done, leg.closed, server.transport.gone), ([], False, False))
        leg.finish()
        leg.lose()
        self.assertStopped(world, done)
        self.assertEqual(leg.resets, [])

    def test_cut(self) -> None:
        """At the deadline what streams is reset, and a dial under way is given up and refused."""
        world = World()
        server = world.connected()
        streaming, dialling = server.legs(2)
        for leg in (streaming, dialling):
            leg.receive_open(server.open_body(leg))
        world.relay.dials[0][1].callback(object())
        done = world.stop(10)
        world.clock.advance(9.9)
        self.assertEqual(streaming.resets, [])
        world.clock.advance(0.2)
        self.assertEqual((streaming.resets, dialling.refused), (["going_away"], ["going_away"]))
        self.assertEqual(world.relay.cancelled, 1)
        self.assertEqual(done, [])
        world.clock.advance(3)
        self.assertTrue(streaming.closed and dialling.closed)
        self.assertStopped(world, done, cut=2)

    def test_streams_of_a_lost_session(self) -> None:
        """They are waited for while the client no longer connects."""
        world = World()
        server = world.connected()
        (leg,) = server.legs()
        leg.receive_open(server.open_body(leg))
        world.relay.dials[0][1].callback(object())
        server.transport.lose()
        done = world.stop(10)
        self.assertEqual(done, [])
        leg.finish()
        leg.lose()
        self.assertStopped(world, done)


class StreamsLiveOnTests(ClientTestCase):
    """When the control connection dies, streaming legs live on and idle ones close."""

    def test_control_lost(self) -> None:
        """Also over the next session's begin."""
        world = World()
        server = world.connected()
        busy, idle = server.legs(2)
        busy.receive_open(server.open_body(busy))
        world.relay.dials[0][1].callback(object())
        server.transport.lose()
        self.assertEqual((busy.closed, idle.closed), (False, True))
        world.run_until(lambda: len(world.path.attempts) == 4)
        world.connected()
        self.assertFalse(busy.closed)
        self.assertEqual(world.link.streams, 1)
        busy.finish()
        self.assertFalse(busy.closed)
        busy.lose()
        self.assertEqual((world.link.streams, len(world.link._sessions)), (0, 1))

    def test_opener_closes(self) -> None:
        """The last bytes of a leg may be on their way when it is idle for the client and the session is over: the
        server closes it; one that never does is not waited for without end. An unused leg closes at once."""
        world = World()
        server = world.connected()
        early, late, unused = server.legs(3)
        for leg, (_, dial) in zip((early, late), self.opened(world, server, early, late), strict=True):
            dial.callback(object())
            self.assertEqual(leg.state, "busy")
        early.finish()
        server.transport.lose()
        self.assertEqual((early.closed, late.closed, unused.closed), (False, False, True))
        world.clock.advance(LEFT - 1)
        late.finish()
        world.clock.advance(LEFT - 1)
        self.assertEqual((early.closed, late.closed), (False, False))
        world.clock.advance(1)
        self.assertEqual((early.closed, late.closed), (True, True))

    @staticmethod
    def opened(world: World, server: FakeServer, *legs: FakeLeg) -> list[tuple[Any, Any]]:
        """Open them; return their dials."""
        for leg in legs:
            leg.receive_open(server.open_body(leg))
        return world.relay.dials[-len(legs) :]


class ServerStopsTests(ClientTestCase):
    """A server that says that it stops."""

    def test_time_that_is_left(self) -> None:
        """The time of its visitors began when it was announced, and not when the session ended."""
        world = World()
        server = world.connected()
        server.say(Drain(10_000))
        world.clock.advance(8)
        assert world.link.session is not None
        self.assertEqual(world.link.session.server_stops_in, 2.0)
        world.path.fails = "connection refused"
        world.clock.advance(4)
        server.say(Error("going_away", "the server stops"))
        server.transport.lose()
        self.assertEqual(world.link._pace._ends, 12.0)

    def test_successor_is_met_soon(self) -> None:
        """Until half a minute after the time that it gives its visitors, the client tries every two seconds at most;
        then the delays grow as ever."""
        world = World()
        server = world.connected()
        server.say(Drain(10_000))
        world.path.fails = "connection refused"
        server.say(Error("going_away", "the server stops"))
        server.transport.lose()
        world.clock.pump([0.05] * 20 * 300)
        times = [when for when, *_ in world.path.attempts]
        gaps = [(earlier, later - earlier) for earlier, later in pairwise(times)]
        soon = [gap for when, gap in gaps if when < 10 + SUCCESSOR - 1]
        self.assertGreater(len(soon), 15)
        self.assertLess(max(soon), SOON + 0.2)
        self.assertGreater(max(gap for _, gap in gaps), 5)
