"""Legs at the client: how many it brings, what it dials for whom, and what it never dials."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher

from gotunnel.address import HostPort
from gotunnel.client import bringing
from gotunnel.client.bringing import Bringing, LegRoom
from gotunnel.client.datagrams import Datagrams
from gotunnel.client.published import Published
from gotunnel.config.difference import ListChange
from gotunnel.core.accounts import OTHERS
from gotunnel.errors import DialFailed, RemoteProtocolError
from gotunnel.net.greeting import SessionKey
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import Error, Leg, LegsFailed, NeedLegs
from gotunnel.wire.proxyheader import encode_proxy_header
from tests.client.world import ClientTestCase, FakePath, World, mapping
from tests.doubles import FakeLocal, FakeRelay


class BringTests(ClientTestCase):
    """need_legs."""

    def test_none_unasked(self) -> None:
        """A client dials no leg unless it is asked to."""
        world = World()
        world.connected().grant()
        world.clock.advance(9)
        self.assertEqual(len(world.path.attempts), 1)

    def test_as_many_as_asked(self) -> None:
        """Each with a number of its own, within TLS or not as asked."""
        world = World()
        server = world.connected()
        server.grant()
        self.assertEqual(len(server.legs(3)), 3)
        self.assertEqual(len(server.legs(2, plain=True)), 2)
        self.assertEqual([plain for *_, plain in world.path.attempts[1:]], [False] * 3 + [True] * 2)
        self.assertEqual(sorted(leg.tag for leg in world.relay.legs), [1, 2, 3, 4, 5])

    def test_limit(self) -> None:
        """Never more than limits.legs, those under way counted; the rest is answered with legs_failed."""
        world = World()
        server = world.connected(legs=4)
        server.grant()
        legs = server.legs(3)
        server.heard()
        server.say(NeedLegs(False, 5))
        (failed,) = [m for m in server.heard() if isinstance(m, LegsFailed)]
        self.assertEqual((failed.plain, failed.count), (False, 4))
        self.assertEqual(len(world.path.attempts), 1 + 4)
        server.take(world.path.attempts[-1][2])
        legs[0].lose()
        self.assertEqual(len(server.legs(1)), 1)

    def test_room_of_all_sessions(self) -> None:
        """Legs that another session is making take their room already, and give it back if nothing comes of them."""
        path, room, failed = FakePath(clock := Clock()), LegRoom(3), []
        path.hangs = True

        class Legs:
            purpose, end = "reverse", End.DIALLER

            def leg_failed(self, plain: bool, count: int, reason: str) -> None:
                failed.append((count, reason))

        key, relay = SessionKey(bytes(16), bytes(32)), FakeRelay(clock)
        one, two = [
            Bringing(clock, relay, path, key, 100, None, lambda: None, room)  # type: ignore[arg-type]
            for _ in range(2)
        ]
        one.bring(Legs(), False, 2)  # type: ignore[arg-type]
        two.bring(Legs(), False, 2)  # type: ignore[arg-type]
        self.assertEqual(failed, [(1, "the client has file descriptors for no more legs")])
        self.assertEqual((len(path.attempts), room.left), (3, 0))
        one.stop()
        self.assertEqual(room.left, 2)
        path.hangs, path.fails = False, "connection refused"
        two.bring(Legs(), False, 2)  # type: ignore[arg-type]
        self.assertEqual((room.left, [count for count, _ in failed[1:]]), (2, [1, 1]))
        two.stop()
        self.assertEqual(room.left, 3)

    def test_no_descriptors(self) -> None:
        """Where it is this process that has no room for more, the server hears that, and its log can say it."""
        self.patch(bringing, "most_legs", lambda: 2)
        server = World().connected(legs=4)
        server.grant()
        server.say(NeedLegs(False, 3))
        (failed,) = [m for m in server.heard() if isinstance(m, LegsFailed)]
        self.assertEqual((failed.count, failed.reason), (1, "the client has file descriptors for no more legs"))

    def test_side_by_side(self) -> None:
        """A flood of requests dials a few at a time, and all in the end."""
        world = World()
        server = world.connected(legs=100)
        server.grant()
        server.say(NeedLegs(False, 90))
        self.assertEqual(len(world.path.attempts) - 1, 24)
        taken = 1
        while taken < len(world.path.attempts):
            server.take(world.path.attempts[taken][2])
            taken += 1
        self.assertEqual(len(world.relay.legs), 90)

    def test_cannot(self) -> None:
        """Each leg that fails is told, with the reason."""
        world = World()
        server = world.connected()
        server.grant()
        world.path.fails = "cannot reach tunnel.example.com:17000: connection refused"
        server.say(NeedLegs(True, 2))
        failed = [m for m in server.heard() if isinstance(m, LegsFailed)]
        self.assertEqual([(m.plain, m.count) for m in failed], [(True, 1)] * 2)
        self.assertIn("connection refused", failed[0].reason)

    def test_server_that_is_not_ours(self) -> None:
        """A leg whose server cannot prove itself, or refuses, is closed and told; no byte of a visitor went there."""
        for answer in (b'{"type":"leg_ok","mac":"' + b"0" * 64 + b'"}', b'{"type":"error","code":"no_session"}', b"{}"):
            world = World()
            server = world.connected()
            server.grant()
            server.say(NeedLegs(False, 1))
            transport = world.path.attempts[-1][2]
            transport.payloads()
            transport.say_json(answer)
            self.assertTrue(transport.aborted)
            self.assertEqual([m.count for m in server.heard() if isinstance(m, LegsFailed)], [1])
            self.assertEqual(world.relay.legs, [])

    def test_breaks_under_the_answer(self) -> None:
        """A connection that is gone when the relay takes it over is closed and told, and takes no place."""
        world = World()
        server = world.connected()
        server.grant()

        def broken(*args: object) -> None:
            raise RemoteProtocolError("the connection broke at the end of its handshake", "closed")

        take = world.relay.leg
        self.patch(world.relay, "leg", broken)
        server.say(NeedLegs(False, 1))
        transport = world.path.attempts[-1][2]
        server.take(transport)
        self.assertTrue(transport.aborted)
        self.assertEqual([m.count for m in server.heard() if isinstance(m, LegsFailed)], [1])
        self.patch(world.relay, "leg", take)
        self.assertEqual(len(server.legs(1)), 1)

    def test_session_ends_while_a_leg_is_greeted(self) -> None:
        """It is given up, and does not join the next session."""
        world = World()
        server = world.connected()
        server.say(NeedLegs(False, 1))
        transport = world.path.attempts[-1][2]
        server.transport.lose()
        self.assertTrue(transport.aborted)
        self.assertEqual(world.relay.legs, [])


class OpenTests(ClientTestCase):
    """OPEN."""

    def setUp(self) -> None:
        """A client with two mappings, one of which may travel outside TLS."""
        self.it = World(mapping("web", 8000, 8080), mapping("tls", 6443, 6443, encrypt=False))
        self.server = self.it.connected()
        self.server.grant()
        self.server.heard()

    def dialled(self) -> list[object]:
        """Return what was dialled."""
        return [target for target, _ in self.it.relay.dials]

    def test_target_of_the_file(self) -> None:
        """The mapping's own target is dialled, and the leg joined to it."""
        (leg,) = self.server.legs()
        leg.receive_open(self.server.open_body(leg))
        self.assertEqual(self.dialled(), [HostPort("127.0.0.1", 8000)])
        local = FakeLocal()
        self.it.relay.dials[0][1].callback(local)
        self.assertEqual(leg.accepted, [local])

    def test_awaited(self) -> None:
        """The answer of a target that is published in a group is awaited, also where the same target is published
        alone, whose answer is not."""
        shared = mapping("api", 8000, 8081).model_copy(update={"group": "api"})
        self.it = World(mapping("web", 8000, 8080), shared)
        self.server = self.it.connected()
        self.server.grant()
        for name, awaited in (("web", False), ("api", True), ("web", False)):
            (leg,) = self.server.legs()
            leg.receive_open(self.server.open_body(leg, name))
            self.it.relay.dials[-1][1].callback(FakeLocal())
            self.assertEqual((len(leg.accepted), leg.awaited), (1, awaited))

    def test_flows_are_awaited(self) -> None:
        """So is that of a target of datagrams: until it comes the server takes few of them."""
        self.patch(Datagrams, "dial", lambda *_: FakeLocal())
        self.it = World(mapping("dns", 53, 8053).model_copy(update={"protocol": "udp"}))
        self.server = self.it.connected()
        (leg,) = self.server.legs()
        leg.receive_open(self.server.open_body(leg, "dns"))
        self.assertEqual((len(leg.accepted), leg.awaited), (1, True))

    def test_proxy_protocol(self) -> None:
        """The target of a mapping that says so hears first where the visitor is from, and where he came to, as far as
        the server says it; the target of another one hears nothing."""
        told = mapping("told", 8001, 8081).model_copy(update={"proxy_protocol": "v1"})
        both = mapping("both", 8002, 8082).model_copy(update={"proxy_protocol": "v2"})
        self.it = World(mapping("web", 8000, 8080), told, both)
        self.server = self.it.connected()
        (asked,) = self.server.grant()
        wishes = [(each.name, each.dst) for each in asked.mappings]
        self.assertEqual(wishes, [("web", None), ("told", True), ("both", True)])
        for name, dst, header in (
            ("web", "203.0.113.1:8080", b""),
            ("told", "203.0.113.1:8081", b"PROXY TCP4 198.51.100.7 203.0.113.1 5000 8081\r\n"),
            ("told", None, b"PROXY TCP4 198.51.100.7 0.0.0.0 5000 0\r\n"),
            ("both", "203.0.113.1:8081", encode_proxy_header("v2", "198.51.100.7:5000", "203.0.113.1:8081", "c-1")),
        ):
            (leg,) = self.server.legs()
            leg.receive_open(self.server.open_body(leg, name, src="198.51.100.7:5000", dst=dst, conn="c-1"))
            local = FakeLocal()
            self.it.relay.dials[-1][1].callback(local)
            self.assertEqual((leg.accepted, local.begun), ([local], header), (name, dst))

    def test_proxy_protocol_changes(self) -> None:
        """Another `proxy_protocol` is for the next visitor; the server hears of it, and the port stays open."""
        web = mapping("web", 8000, 8080)
        published = Published([web], HostPort("tunnel.example.com", 17000), lambda: None)
        told = web.model_copy(update={"proxy_protocol": "v2"})
        leaving, asked = published.change([told], ListChange(changed=("web",)))
        self.assertEqual((leaving, [each.dst for each in asked]), ((), [True]))
        again = told.model_copy(update={"proxy_protocol": "v1"})
        leaving, asked = published.change([again], ListChange(changed=("web",)))
        self.assertEqual((leaving, asked), ((), ()))

    def test_refused(self) -> None:
        """A target that does not answer is told at once, with the code."""
        (leg,) = self.server.legs()
        leg.receive_open(self.server.open_body(leg))
        self.it.relay.dials[0][1].errback(DialFailed("refused", "127.0.0.1:8000: connection refused"))
        self.assertEqual(leg.refused, ["refused"])

    def test_unknown_mapping(self) -> None:
        """A server that opens what the file does not name is refused, and nothing is dialled. It is counted as one of
        those that share an account, so that a server cannot think of names without end."""
        (leg,) = self.server.legs()
        counted = self.it.links.usage.accounts
        for name in ("ghost", "127.0.0.1:22", "WEB", "web ", "../web", "localhost:9777", "0"):
            leg.receive_open(self.server.open_body(leg, name))
            self.assertEqual(leg.refused.pop(), "unknown_mapping")
            self.assertEqual([each.mapping for each in counted], [OTHERS])
            leg.finish()
        self.assertEqual(self.dialled(), [])

    def test_hostile_bodies(self) -> None:
        """`dial`, another client's mapping, and what is no OPEN: the leg closes, nothing is dialled, no traceback."""
        for body in (
            b'{"conn":"c","src":"s","dial":"127.0.0.1:22"}',
            b'{"conn":"c","src":"s","mapping":"web","client":"other"}',
            b'{"conn":"c","src":"s","mapping":"web","dial":"127.0.0.1:22"}',
            b'{"conn":"c","src":"s"}',
            b'{"mapping":["web"],"conn":"c","src":"s"}',
            b"\xff",
            b"",
        ):
            for plain in (False, True):
                (leg,) = self.server.legs(plain=plain)
                leg.receive_open(body)
                self.assertTrue(leg.closed, body)
                self.it.clock.advance(0)
        self.assertEqual(self.dialled(), [])
        self.assertEqual(self.it.link.streams, 0)

    def test_plain(self) -> None:
        """A mapping that says encrypt: false is opened on a plain leg with the right proof, again and again."""
        (leg,) = self.server.legs(plain=True)
        for _ in range(3):
            leg.receive_open(self.server.open_body(leg, "tls"))
            self.it.relay.dials[-1][1].callback(FakeLocal())
            leg.finish()
        self.assertEqual(self.dialled(), [HostPort("127.0.0.1", 6443)] * 3)

    def test_plain_needs_proof(self) -> None:
        """On a plain leg the proof, its number, and the mapping's own encrypt: false are needed, or the leg closes."""
        (good,) = self.server.legs(plain=True)
        valid = self.server.open_body(good, "tls")
        changes = [
            {"mac": bytes(32)},
            {"n": 2},
            {"n": None, "mac": None},
            {"conn": "c-2"},
            {"src": "203.0.113.1:1"},
            {"dst": "203.0.113.1:1"},
        ]
        for change in changes:
            (leg,) = self.server.legs(plain=True)
            leg.receive_open(self.server.open_body(leg, "tls", **change))
            self.assertTrue(leg.closed, change)
        for name in ("web", "ghost"):
            (leg,) = self.server.legs(plain=True)
            leg.receive_open(self.server.open_body(leg, name))
            self.assertTrue(leg.closed, name)
        (other,) = self.server.legs(plain=True)
        other.receive_open(valid)  # of another leg
        self.assertTrue(other.closed)
        self.assertEqual(self.dialled(), [])
        good.receive_open(valid)
        self.it.relay.dials[-1][1].callback(FakeLocal())
        good.finish()
        good.receive_open(valid)  # replayed
        self.assertTrue(good.closed)
        self.assertEqual(len(self.dialled()), 1)

    def test_encrypt_false_inside_tls(self) -> None:
        """Where the server does not allow plain legs, such a mapping is opened inside TLS."""
        (leg,) = self.server.legs()
        leg.receive_open(self.server.open_body(leg, "tls"))
        self.assertEqual(self.dialled(), [HostPort("127.0.0.1", 6443)])

    def test_cut_while_dialling(self) -> None:
        """Who is cut before his target has answered is refused, which the server takes it for, too; the leg lives."""
        session = self.it.link.session
        assert session is not None
        for code, cut in (("going_away", session.legs.reset_streams), ("kicked", lambda: session.legs.kick("c-1"))):
            (leg,) = self.server.legs()
            leg.receive_open(self.server.open_body(leg))
            before = self.it.relay.cancelled
            cut()
            self.assertEqual((leg.refused, leg.closed, self.it.relay.cancelled), ([code], False, before + 1))
            leg.finish()

    def test_leg_lost_while_dialling(self) -> None:
        """The dial is given up; its end, whichever comes, does no harm."""
        (leg,) = self.server.legs()
        leg.receive_open(self.server.open_body(leg))
        leg.lose()
        self.assertEqual((self.it.relay.cancelled, self.it.link.streams), (1, 0))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_target_answers_too_late(self) -> None:
        """Who answers although he was given up is reset."""
        (leg,) = self.server.legs()
        relay = self.it.relay
        leg.receive_open(self.server.open_body(leg))
        dialled = relay.dials[0][1]
        dialled._canceller = None
        dialled._suppressAlreadyCalled = False
        self.it.link.session.legs.streams[leg].dial = None  # type: ignore[union-attr]
        local = FakeLocal()
        dialled.callback(local)
        self.assertTrue(local.aborted)
        self.assertEqual(leg.accepted, [])

    def test_log_is_limited(self) -> None:
        """A server that opens nonsense a thousand times does not write a thousand lines."""
        (leg,) = self.server.legs()
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        for _ in range(1000):
            leg.receive_open(self.server.open_body(leg, "ghost"))
            leg.finish()
        warnings = [e for e in observer if "does not have" in str(e.get("log_format"))]
        self.assertLess(len(warnings), 20)


class LegMessageTests(ClientTestCase):
    """What a leg says first."""

    def test_first(self) -> None:
        """It names the session, a number, the purpose; and no token."""
        world = World()
        server = world.connected()
        server.say(NeedLegs(False, 1))
        (leg,) = world.path.attempts[-1][2].heard()
        assert isinstance(leg, Leg)
        self.assertEqual((leg.sid, leg.purpose), (server.sid, "reverse"))
        self.assertNotIsInstance(leg, Error)
