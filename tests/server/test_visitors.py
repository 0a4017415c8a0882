"""A visitor from accept to his end: which leg he gets, how long he waits, and how it is counted."""

from __future__ import annotations

from pydantic import SecretStr
from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.config.model import ServerConfig
from gotunnel.core.descriptors import Shares
from gotunnel.core.outcome import Outcome
from gotunnel.net.patience import LOOK
from gotunnel.server.draining import ServerDraining
from gotunnel.server.hub import Hub
from gotunnel.wire.legstate import State
from gotunnel.wire.messages import Drain, DrainOk, LegsFailed, MappingRequest, Register
from tests.server.world import TOKEN, ServerTestCase


class LegTests(ServerTestCase):
    """Who gets which leg."""

    def setUp(self) -> None:
        """A server with a client and its port."""
        self.it = self.world(leg_wait=10.0)
        self.client = self.it.login()
        self.port = self.client.publish(8080)

    def outcomes(self) -> dict[str, int]:
        """Return how visitors fared."""
        return {outcome.value: count for outcome, count in self.it.hub.outcomes.items()}

    def asked(self) -> int:
        """Return how many legs were asked for since the last call."""
        self.client.heard()
        found, self.client.needed = sum(need.count for need in self.client.needed), []
        return found

    def test_served_at_once(self) -> None:
        """An idle leg serves the next visitor; OPEN says which mapping, which visitor, and an id."""
        leg = self.client.bring_leg()
        self.port.visit("198.51.100.7:5000")
        (opening,) = leg.opened
        self.assertEqual((opening.mapping, opening.src, opening.dial), ("web", "198.51.100.7:5000", None))
        self.assertEqual((opening.n, opening.mac), (None, None))

    def test_destination(self) -> None:
        """A client that asks for it hears where each visitor came to, and one that asks anew hears it from then on; the
        port stays open meanwhile."""
        leg = self.client.bring_leg()
        for asks, told in ((None, None), (True, "203.0.113.1:10250"), (None, None)):
            (result,) = self.client.register(MappingRequest("web", 8080, dst=asks))
            self.assertEqual((result.status, result.remote_port), ("ok", 8080))
            self.port.visit("198.51.100.7:5000")
            self.assertEqual(leg.opened[-1].dst, told)
            leg.finish()

    def test_failed_outside_of_tls(self) -> None:
        """A client that speaks of plain legs where there are none sets no timer: one that nobody looks after would
        strike at once, again and again, for ever."""
        before = sorted(call.getTime() for call in self.it.clock.getDelayedCalls())
        self.assertFalse(self.it.hub.plain_legs)
        self.client.say(LegsFailed(True, 1, "unasked"))
        self.assertEqual(sorted(call.getTime() for call in self.it.clock.getDelayedCalls()), before)
        self.it.clock.advance(60)

    def test_reused(self) -> None:
        """A leg serves one after the other, each with an id of his own."""
        leg = self.client.bring_leg()
        for _ in range(3):
            self.port.visit()
            leg.finish()
        self.assertEqual(len({opening.conn for opening in leg.opened}), 3)
        self.assertEqual(self.outcomes(), {"completed": 3})

    def test_waits_in_order(self) -> None:
        """Without a leg visitors wait, and are served as legs come, first come first served."""
        visitors = [self.port.visit(f"198.51.100.7:{n}") for n in (1, 2, 3)]
        served = [self.client.bring_leg().opened[0].src for _ in visitors]
        self.assertEqual(served, [v.address for v in visitors])

    def test_no_leg(self) -> None:
        """A visitor for whom no leg comes is closed after leg_wait, and counted."""
        visitor = self.port.visit()
        self.it.clock.advance(9.9)
        self.assertFalse(visitor.aborted)
        self.it.clock.advance(0.2)
        self.assertTrue(visitor.aborted)
        self.assertEqual(self.outcomes(), {"no_leg": 1})
        self.assertEqual(self.it.hub.live, 0)

    def test_each_his_own_time(self) -> None:
        """Everybody waits as long, whenever he came."""
        first = self.port.visit()
        self.it.clock.advance(4)
        second = self.port.visit()
        self.it.clock.advance(6)
        self.assertEqual((first.aborted, second.aborted), (True, False))
        self.it.clock.advance(4)
        self.assertTrue(second.aborted)

    def test_leaves_while_waiting(self) -> None:
        """Nobody is opened for a visitor who went away, and he is counted once."""
        self.port.visit().leave()
        leg = self.client.bring_leg()
        self.assertEqual(leg.opened, [])
        self.assertEqual(self.outcomes(), {"visitor_left": 1})

    def test_asked_for(self) -> None:
        """There are two legs at the start, more are asked for as visitors wait, and again after 10 s."""
        self.assertEqual(self.asked(), 2)
        for _ in range(5):
            self.port.visit()
        self.assertGreaterEqual(self.asked(), 3)
        self.it.clock.advance(9.0)
        self.assertEqual(self.asked(), 0)
        self.port.visit()
        self.it.clock.advance(1.0)
        self.assertGreaterEqual(self.asked(), 1)

    def test_legs_failed(self) -> None:
        """A client that cannot bring legs is asked again, after a pause, while visitors wait."""
        self.asked()
        self.port.visit()
        self.client.say(LegsFailed(False, 2, "no route"))
        self.assertEqual(self.asked(), 0)
        self.it.clock.advance(0.5)
        self.assertGreaterEqual(self.asked(), 1)

    def test_limit_of_legs(self) -> None:
        """No more are asked for than `limits.legs`, of both kinds together."""
        self.it = self.world(limits={"legs": 3})
        self.client = self.it.login()
        port = self.client.publish(8080)
        for _ in range(9):
            port.visit()
        self.assertEqual(self.asked(), 3)

    def test_thousands(self) -> None:
        """More than one need_legs can name are asked for in several."""
        self.it = self.world(limits={"legs": 10000, "visitors": 10000, "pending": 10000})
        self.client = self.it.login()
        port = self.client.publish(8080)
        session = self.it.session(self.client)
        self.it.hub.peers["edge"].session = None
        for _ in range(5000):
            port.visit()
        self.it.hub.peers["edge"].session = session
        session.feed()
        self.assertGreaterEqual(self.asked(), 5000)

    def test_too_many_visitors(self) -> None:
        """Beyond `limits.visitors` or `limits.streams`, or with `limits.pending` waiting, a visitor is reset at once
        and counted; a thousand of them write a few lines."""
        for key in ("visitors", "pending", "streams"):
            observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
            self.it = self.world(limits={key: 2})
            self.client = self.it.login()
            port = self.client.publish(8080)
            visitors = [port.visit() for _ in range(1000)]
            self.assertEqual([v.aborted for v in visitors], [False, False] + [True] * 998)
            self.assertEqual(self.outcomes(), {"denied": 998})
            self.assertEqual((self.it.hub.live, self.it.hub.peers["edge"].visitors), (2, 2))
            lines = [line for line in map(formatEvent, observer) if f"limits.{key}" in line]
            self.assertEqual(len(lines), 5)

    def test_streams_of_all_clients(self) -> None:
        """`limits.streams` is for all clients together; without it the limit of file descriptors decides."""
        self.it = self.world(limits={"streams": 3})
        ports = [self.it.login(name).publish(8080 + n, name) for n, name in enumerate(("one", "two"))]
        visitors = [ports[n % 2].visit() for n in range(4)]
        self.assertEqual([v.aborted for v in visitors], [False, False, False, True])
        hub = Hub(ServerConfig(token=SecretStr(TOKEN)), self.it.clock, self.it.relay, None, 17000, shares=Shares(256))
        self.assertEqual((hub.most_visitors, hub.most_strangers), (103, 64))

    def test_scarce_descriptors(self) -> None:
        """When descriptors are scarce, idle legs are closed that nobody waits for."""
        legs = [self.client.bring_leg() for _ in range(6)]
        visitors = [self.port.visit() for _ in legs]
        for leg in legs:
            leg.finish()
        self.it.clock.advance(5)
        self.assertEqual([leg.closed for leg in legs], [False] * 6)
        self.it.hub.sparing = lambda: True
        self.it.hub.spare()
        self.assertEqual((sum(leg.closed for leg in legs), len(visitors)), (4, 6))

    def test_closed_and_not_told_yet(self) -> None:
        """A leg whose machine has closed and whose end its owner has not heard of yet serves nobody: another one does,
        or the visitor waits."""
        first, second = self.client.bring_leg(), self.client.bring_leg()
        second.state = State.CLOSED  # type: ignore[assignment]
        self.port.visit()
        self.assertEqual((len(first.opened), second.opened), (1, []))
        third = self.client.bring_leg()
        third.state = State.CLOSED  # type: ignore[assignment]
        waiting = self.port.visit()
        self.assertEqual((waiting.aborted, third.opened), (False, []))
        for leg in (second, third):
            leg.lose()
        fourth = self.client.bring_leg()
        self.assertEqual([opened.src for opened in fourth.opened], [waiting.address])

    def test_lost_leg(self) -> None:
        """A leg that breaks takes its visitor along and is not used again."""
        leg = self.client.bring_leg()
        self.port.visit()
        leg.lose()
        self.assertEqual(self.outcomes(), {"leg_lost": 1})
        self.port.visit()
        self.assertEqual(len(leg.opened), 1)

    def test_drain_of_the_client(self) -> None:
        """After its drain nothing is opened on its legs; visitors wait for its successor."""
        leg = self.client.bring_leg()
        self.client.say(Drain(1000))
        self.assertTrue(leg.closed)
        visitor = self.port.visit()
        self.assertEqual(leg.opened, [])
        self.assertFalse(visitor.aborted)

    def test_drain_keeps_streams(self) -> None:
        """What streams goes on, and its leg closes when it is free."""
        leg = self.client.bring_leg()
        self.port.visit()
        self.client.say(Drain(1000))
        self.assertFalse(leg.closed)
        leg.finish()
        self.assertTrue(leg.closed)
        self.assertEqual(self.outcomes(), {"completed": 1})


class ProbeTests(ServerTestCase):
    """A leg that was quiet for 10 s is tried before it gets a visitor."""

    def setUp(self) -> None:
        """A server with a client, its port and a leg."""
        self.it = self.world(leg_wait=10.0)
        self.client = self.it.login()
        self.port = self.client.publish(8080)
        self.leg = self.client.bring_leg()

    def test_fresh(self) -> None:
        """Heard of within 10 s it is not tried."""
        self.it.clock.advance(9.9)
        self.port.visit()
        self.assertEqual((self.leg.probes, len(self.leg.opened)), (0, 1))

    def test_old(self) -> None:
        """Later it is; nothing is opened before the probe is back, and then it is opened once."""
        self.it.clock.advance(10)
        visitor = self.port.visit()
        self.assertEqual((self.leg.probes, self.leg.opened), (1, []))
        self.leg.probe_comes_back()
        self.assertEqual([o.src for o in self.leg.opened], [visitor.address])

    def test_dead(self) -> None:
        """The leg is gone: another one serves, and the visitor is opened once in all."""
        self.it.clock.advance(10)
        visitor = self.port.visit()
        self.leg.lose()
        other = self.client.bring_leg()
        self.assertEqual([o.src for o in other.opened], [visitor.address])
        self.assertEqual(self.leg.opened, [])

    def test_visitor_leaves_meanwhile(self) -> None:
        """Then the leg is idle again, and serves the next one without a probe."""
        self.it.clock.advance(10)
        self.port.visit().leave()
        self.leg.probe_comes_back()
        self.port.visit()
        self.assertEqual((self.leg.probes, len(self.leg.opened)), (1, 1))

    def test_session_ends_meanwhile(self) -> None:
        """A leg that is being tried closes with its session."""
        self.it.clock.advance(10)
        self.port.visit()
        self.client.transport.lose()
        self.assertTrue(self.leg.closed)


class StopTests(ServerTestCase):
    """The server stops."""

    def setUp(self) -> None:
        """A server with a client, a streaming visitor and an idle leg."""
        self.it = self.world()
        self.client = self.it.login()
        self.port = self.client.publish(8080)
        self.idle, self.busy = self.client.bring_leg(), self.client.bring_leg()
        self.port.visit()
        self.client.heard()
        self.doors_closed = 0
        self.told_before_egress: list[object] | None = None

    async def close_egress(self) -> None:
        """The egress socket closes."""
        self.told_before_egress = self.client.heard()

    async def close_door(self) -> None:
        """The control port closes."""
        self.doors_closed += 1

    def stop(self, seconds: float) -> list[object]:
        """Begin to stop; the list tells when it is over."""
        done: list[object] = []
        self.draining = ServerDraining(self.it.hub, self.close_egress, self.close_door)
        self.draining.begin(seconds).addCallback(done.append)
        self.it.clock.advance(0)
        return done

    def test_drains(self) -> None:
        """The client is told, ports and idle legs close, and the end comes as soon as the visitor is done."""
        done = self.stop(10.0)
        self.assertEqual(self.client.heard(), [Drain(10000)])
        self.assertFalse(self.port.open)
        self.assertEqual((self.idle.closed, self.busy.closed), (True, False))
        self.it.clock.advance(3)
        self.assertEqual(done, [])
        self.busy.finish()
        self.it.clock.pump([0, 0, LOOK])
        self.assertEqual(done, [0])
        self.assertError(self.client.transport, "going_away")
        self.assertEqual(self.it.clock.getDelayedCalls(), [])

    def test_waiting_are_served(self) -> None:
        """A visitor who was accepted gets the leg that is on its way, and only then the control port closes."""
        self.port.visit()
        waiting = self.port.visit()
        self.assertEqual(self.it.hub.peers["edge"].pending, 1)
        done = self.stop(10.0)
        self.it.clock.advance(1)
        self.assertEqual((self.doors_closed, waiting.aborted), (0, False))
        leg = self.client.bring_leg()
        self.assertEqual(len(leg.opened), 1)
        self.it.clock.advance(LOOK)
        self.assertEqual((self.doors_closed, done), (1, []))
        for each in (self.idle, self.busy, leg):
            each.finish()
        self.it.clock.pump([0, 0, LOOK])
        self.assertEqual((done, self.it.hub.outcomes), ([0], {Outcome.COMPLETED: 3}))

    def test_egress_closes_first(self) -> None:
        """The egress socket is closed before a client hears of the end: it takes its nodes back, and who asks for one
        then would be refused for good."""
        self.stop(10.0)
        self.assertEqual(self.told_before_egress, [])
        self.assertEqual(self.client.heard(), [Drain(10000)])

    def test_waiting_in_vain(self) -> None:
        """Their client does not bring it: at the deadline they are turned away."""
        self.port.visit()
        waiting = self.port.visit()
        self.stop(5.0)
        self.it.clock.advance(5.1)
        self.it.clock.advance(0)
        self.assertTrue(waiting.aborted)
        self.assertEqual(self.it.hub.outcomes[Outcome.STOPPED], 1)

    def test_clients_go_elsewhere(self) -> None:
        """A client that has agreed is let go although a visitor streams; he goes on."""
        done = self.stop(10.0)
        self.client.say(DrainOk())
        self.assertError(self.client.transport, "going_away")
        self.it.clock.advance(5)
        self.assertEqual((done, self.busy.closed, self.it.hub.live), ([], False, 1))
        self.busy.finish()
        self.it.clock.pump([0, 0, LOOK, 0])
        self.assertEqual((done, self.busy.resets), ([0], []))

    def test_agrees_before_all_are_served(self) -> None:
        """One that has agreed while visitors wait for it is let go when they are served."""
        self.port.visit()
        self.port.visit()
        self.stop(10.0)
        self.client.say(DrainOk())
        self.it.clock.advance(1)
        self.assertFalse(self.client.transport.gone)
        self.client.bring_leg()
        self.it.clock.advance(LOOK)
        self.assertError(self.client.transport, "going_away")

    def test_last_bytes(self) -> None:
        """A visitor who is counted, and still takes his last bytes, is waited for."""
        self.busy.finish()
        self.it.relay.locals = 1
        done = self.stop(10.0)
        self.it.clock.advance(9)
        self.assertEqual(done, [])
        self.it.relay.locals = 0
        self.it.clock.pump([LOOK, 0, LOOK])
        self.assertEqual(done, [0])

    def test_cut(self) -> None:
        """At the deadline what streams is reset, and legs that do not answer do not hold up the end for long."""
        done = self.stop(10.0)
        self.it.clock.advance(9.9)
        self.assertEqual(self.busy.resets, [])
        self.it.clock.advance(0.2)
        self.assertEqual(self.busy.resets, ["going_away"])
        self.it.clock.advance(3.0)
        self.it.clock.advance(0)
        self.assertEqual(done, [1])
        self.assertTrue(self.busy.closed)
        self.it.clock.advance(0)
        self.assertEqual(self.it.clock.getDelayedCalls(), [])

    def test_streams_of_an_old_session(self) -> None:
        """Those of a session that was replaced are waited for, and cut, as well."""
        self.it.login()
        self.stop(10.0)
        self.it.clock.advance(10.1)
        self.assertEqual(self.busy.resets, ["going_away"])

    def test_nothing_opens_any_more(self) -> None:
        """A register during the drain is refused; waiting visitors and the time of grace leave no timer."""
        self.stop(10.0)
        (result,) = self.client.register(MappingRequest("late", 8081))
        self.assertEqual((result.status, result.code), ("fail", "limit"))
        self.assertEqual(self.it.relay.ports, [])

    def test_slow_port(self) -> None:
        """A port that is being opened, and waits for the access policy, does not keep those of other clients open."""
        other, late = self.it.login("other"), self.it.login("late")
        other.publish(8082, "api")
        vetting: Deferred[None] = Deferred()
        self.patch(self.it.hub, "vetter", lambda *names: lambda port: vetting)
        for client, port in ((self.client, 8083), (late, 8084)):
            client.say(Register(99, (MappingRequest("slow", port),), True))
        self.stop(10.0)
        self.assertEqual([port.port for port in self.it.relay.ports], [8080])
        self.busy.finish()
        vetting.callback(None)
        self.it.clock.pump([0, 0, 0, LOOK, 0])
        self.assertEqual((self.it.relay.ports, self.doors_closed), ([], 1))

    def test_nothing_opens_for_newcomers(self) -> None:
        """While visitors wait for their legs the control port is open: a client that connects then publishes nothing,
        nor does one that was there, and was forgotten since."""
        other = self.it.login("other")
        other.publish(8082, "api")
        self.port.visit()
        self.port.visit()
        self.stop(10.0)
        other.transport.lose()
        for _ in range(4):
            self.it.clock.advance(0)
        for name in ("late", "other"):
            self.assertNotIn(name, self.it.hub.peers)
            (result,) = self.it.login(name, b"two").register(MappingRequest("web", 8081))
            self.assertEqual((result.status, result.code), ("fail", "limit"), name)
        self.assertEqual(self.it.relay.ports, [])

    def test_in_time_of_grace(self) -> None:
        """A client that is away: its ports close, its waiting visitors are turned away, no timer is left."""
        self.busy.finish()
        self.client.transport.lose()
        waiting = self.port.visit()
        done = self.stop(10.0)
        self.it.clock.advance(0)
        self.assertTrue(waiting.aborted)
        self.assertEqual(done, [0])
        self.assertEqual(self.it.clock.getDelayedCalls(), [])
        self.assertEqual(self.it.hub.live, 0)
        self.assertEqual(self.it.hub.outcomes[Outcome.STOPPED], 1)
