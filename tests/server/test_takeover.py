"""Who may take a session's place, and what passes over: listeners, waiting visitors, streams."""

from __future__ import annotations

from gotunnel.server.keeping import GRACE
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake
from gotunnel.wire.messages import (
    AuthOk,
    Drain,
    DrainOk,
    Error,
    MappingRequest,
    Ping,
    Pong,
    Register,
    Unregister,
)
from tests.server.test_registration import state
from tests.server.world import TOKEN, ServerTestCase


class WhoTests(ServerTestCase):
    """The decision."""

    def test_same_instance_at_once(self) -> None:
        """The same process comes back: it takes over without a question, and the old session is told."""
        world = self.world()
        old = world.login()
        new = world.login()
        self.assertError(old.transport, "going_away")
        self.assertFalse(new.transport.gone)

    def test_other_instance_while_the_old_one_answers(self) -> None:
        """Two running clients with one name: the newcomer is refused as soon as the old one has answered; it stays."""
        world = self.world()
        old = world.login()
        newcomer = world.connect("203.0.113.5")
        _, answers = world.prove(newcomer, instance=b"two")
        self.assertEqual(answers, [])
        (ping,) = [m for m in old.heard() if isinstance(m, Ping)]
        old.say(Pong(ping.n))
        self.assertError(newcomer, "name_in_use")
        self.assertFalse(old.transport.gone)
        self.assertEqual(world.session(old).over, False)

    def test_other_instance_when_the_old_one_is_silent(self) -> None:
        """It takes over when the old one has not answered a ping, and is in within 2 s of its connection: what its
        login took is taken off the question."""
        world = self.world()
        old = world.login()
        newcomer = world.connect()
        world.clock.advance(0.2)
        world.prove(newcomer, instance=b"two")
        world.clock.advance(1.54)
        self.assertEqual(newcomer.payloads(), [])
        world.clock.advance(0.02)
        self.assertEqual(type(newcomer.heard()[0]), AuthOk)
        self.assertError(old.transport, "going_away")

    def test_other_instance_when_the_old_one_owes_an_answer(self) -> None:
        """It takes over after half a second when a ping of the old one is without an answer for 2 s already."""
        world = self.world(heartbeat=10.0, heartbeat_timeout=30.0)
        old = world.login()
        world.clock.advance(10)
        self.assertEqual([type(m) for m in old.heard()], [Ping])
        world.clock.advance(2)
        newcomer = world.connect()
        world.prove(newcomer, instance=b"two")
        world.clock.advance(0.49)
        self.assertEqual(newcomer.payloads(), [])
        world.clock.advance(0.02)
        self.assertEqual(type(newcomer.heard()[0]), AuthOk)

    def test_old_one_dies_while_it_is_asked(self) -> None:
        """Then there is nothing to wait for."""
        world = self.world()
        old = world.login()
        newcomer = world.connect()
        world.prove(newcomer, instance=b"two")
        old.transport.lose()
        self.assertEqual(type(newcomer.heard()[0]), AuthOk)

    def test_draining_makes_way(self) -> None:
        """A session that drains is not asked."""
        world = self.world()
        old = world.login()
        old.say(Drain(10000))
        self.assertEqual(old.heard(), [DrainOk()])
        new = world.login(instance=b"two")
        self.assertFalse(new.transport.gone)

    def test_newcomer_leaves_while_the_old_one_is_asked(self) -> None:
        """Nothing is taken over by somebody who is gone."""
        world = self.world()
        old = world.login()
        newcomer = world.connect()
        world.prove(newcomer, instance=b"two")
        newcomer.lose()
        world.clock.advance(3)
        self.assertFalse(old.transport.gone)
        self.assertEqual(world.reception.strangers, 0)

    def test_two_newcomers(self) -> None:
        """Both ask the silent old one; the first takes over, and the second must then ask the first."""
        world = self.world()
        world.login()
        first, second = world.connect(), world.connect()
        world.prove(first, instance=b"two")
        world.prove(second, instance=b"three")
        world.clock.advance(2.0)
        self.assertEqual([type(m).__name__ for m in first.heard()][:1], ["AuthOk"])
        self.assertEqual(second.heard(), [])
        first.say(Pong(1))
        self.assertError(second, "name_in_use")

    def test_stale(self) -> None:
        """Sessions are ordered by their challenges: an auth on an older one than the current session's is refused."""
        world = self.world()
        slow = world.connect()
        handshake = ClientHandshake("edge", TOKEN, b"one", "test")
        slow.say_json(handshake.hello())
        (challenge,) = slow.payloads()
        current = world.login()
        slow.say_json(handshake.receive_challenge(challenge, NO_BINDING))
        self.assertError(slow, "stale")
        self.assertFalse(current.transport.gone)

    def test_other_names(self) -> None:
        """Another client is nobody's successor."""
        world = self.world()
        one, two = world.login("one"), world.login("two")
        self.assertFalse(one.transport.gone or two.transport.gone)


class PassOverTests(ServerTestCase):
    """What outlives a session."""

    def setUp(self) -> None:
        """A server with a client, its port and a leg in use."""
        self.it = self.world(leg_wait=10.0)
        self.old = self.it.login()
        self.port = self.old.publish(8080)
        self.busy, self.idle = self.old.bring_leg(), self.old.bring_leg()
        self.visitor = self.port.visit()
        self.assertEqual((len(self.busy.opened), len(self.idle.opened)), (0, 1))
        self.busy, self.idle = self.idle, self.busy

    def test_takeover(self) -> None:
        """The listener is the same object, idle legs close, the streaming leg lives on and its end is counted."""
        new = self.it.login()
        self.assertIs(new.publish(8080), self.port)
        self.assertEqual(self.it.relay.listens, 1)
        self.assertEqual((self.busy.closed, self.idle.closed), (False, True))
        self.busy.finish()
        self.assertTrue(self.busy.closed)
        self.assertEqual(self.it.hub.live, 0)

    def test_control_lost(self) -> None:
        """The same when the control connection dies."""
        self.old.transport.lose()
        self.assertEqual((self.busy.closed, self.idle.closed), (False, True))
        self.assertFalse(self.visitor.aborted)
        self.assertTrue(self.port.open)

    def test_waiting_visitors_pass_over(self) -> None:
        """Who waits is served by the successor's first leg; also who came while nobody was connected."""
        self.old.transport.lose()
        first, second = self.port.visit("198.51.100.1:1"), self.port.visit("198.51.100.2:2")
        new = self.it.login(instance=b"two")
        self.assertGreaterEqual(sum(need.count for need in new.needed), 2)
        legs = [new.bring_leg(), new.bring_leg()]
        self.assertEqual([leg.opened[0].src for leg in legs], ["198.51.100.1:1", "198.51.100.2:2"])
        self.assertFalse(first.aborted or second.aborted)

    def test_late_death_of_the_old_one(self) -> None:
        """The old connection's end, whenever it comes, changes nothing of the new session."""
        self.old.transport.holds = True
        new = self.it.login()
        new.publish(8080)
        self.it.clock.advance(GRACE * 2)
        self.assertTrue(self.old.transport.lost)
        self.assertTrue(self.port.open)
        self.assertFalse(self.it.session(new).over)

    def test_old_requests_stop(self) -> None:
        """What the old session had asked for and was not done yet is not done any more: not to the new one's ports."""
        self.old.register(*(MappingRequest(name, 8100 + i) for i, name in enumerate("abc")), more=True)
        kept = [self.it.relay.port(8101), self.it.relay.port(8102)]
        self.old.say(Unregister(9, ("a", "b", "c")))  # closing one port takes a turn; the others are to follow
        new = self.it.login()
        new.say(Register(1, tuple(MappingRequest(name, 8100 + i) for i, name in enumerate("abc"))))
        for _ in range(10):
            self.it.clock.advance(0)
        self.assertEqual(sorted(port.port for port in self.it.relay.ports), [8100, 8101, 8102])
        self.assertEqual([self.it.relay.port(8101), self.it.relay.port(8102)], kept)

    def test_old_final_frame_stops(self) -> None:
        """Nor does the old one's last register frame close what only the new one names."""
        self.old.register(*(MappingRequest(name, 8100 + i) for i, name in enumerate("abc")), more=True)
        self.old.transport.lose()
        middle = self.it.login()
        middle.say(Register(1, ()))  # names nothing: closes web, a, b, c, one a turn
        new = self.it.login()
        new.say(Register(1, tuple(MappingRequest(name, 8100 + i) for i, name in enumerate("abc"))))
        for _ in range(10):
            self.it.clock.advance(0)
        self.assertEqual(sorted(port.port for port in self.it.relay.ports), [8100, 8101, 8102])


class GraceTests(ServerTestCase):
    """A listener outlives its session by 30 s."""

    def test_thirty_seconds(self) -> None:
        """Then its port closes and everything of the client is forgotten."""
        world = self.world()
        client = world.login()
        port = client.publish(8080)
        client.transport.lose()
        world.clock.advance(29.9)
        self.assertTrue(port.open)
        world.clock.advance(0.2)
        world.clock.advance(0)
        self.assertFalse(port.open)
        self.assertEqual(state(world), {"ports": 0, "sessions": 0, "peers": 0, "claims": {}, "timers": 0})

    def test_back_in_time(self) -> None:
        """Who comes back keeps his port, for good."""
        world = self.world()
        client = world.login()
        port = client.publish(8080)
        client.transport.lose()
        world.clock.advance(29)
        back = world.login(instance=b"two")
        self.assertIs(back.publish(8080), port)
        world.clock.advance(5)
        self.assertTrue(port.open)

    def test_back_while_ports_are_closing(self) -> None:
        """Who comes back at the very moment gets what he asks for, all of it."""
        world = self.world()
        client = world.login()
        wanted = tuple(MappingRequest(name, 8000 + i) for i, name in enumerate("abc"))
        client.register(*wanted)
        client.transport.lose()
        world.clock.advance(30)  # the first port closes in the next turn, then the others
        back = world.login(instance=b"two")
        back.say(Register(1, wanted))
        for _ in range(10):
            world.clock.advance(0)
        self.assertEqual(sorted(port.port for port in world.relay.ports), [8000, 8001, 8002])
        self.assertEqual(len(world.hub.peers), 1)
        self.assertIs(world.hub.peers["edge"].session, world.session(back))

    def test_error_ends_a_session(self) -> None:
        """An `error` of the client ends its session like any loss."""
        world = self.world()
        client = world.login()
        client.say(Error("protocol_error", "you"))
        self.assertTrue(client.transport.aborted)
        world.clock.advance(0)
        self.assertEqual(len(world.hub.sessions), 0)
