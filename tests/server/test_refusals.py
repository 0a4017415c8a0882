"""What failed logins cost at the control port, and who is refused for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.config.model import PenaltiesConfig
from gotunnel.net.tls import own_server_tls
from gotunnel.wire.messages import Leg, LegOk, Ping, Pong
from tests.doubles import MemoryTransport
from tests.server.world import TOKEN, ServerTestCase, World

WRONG = "0" * 8 + TOKEN[8:]


class RefusalTestCase(ServerTestCase):
    """A world in which one can see who is refused."""

    def setUp(self) -> None:
        self.observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def lines(self, part: str) -> list[str]:
        """Return the log lines that hold some text."""
        found = [formatEvent(event) for event in self.observer]
        return [line for line in found if part in line]

    def guess(self, world: World, host: str = "192.0.2.1", name: str = "edge") -> None:
        """One login with a wrong token, which must be answered."""
        transport = world.connect(host)
        world.prove(transport, name, token=WRONG)
        world.clock.advance(0)
        self.assertTrue(transport.gone)

    def refused(self, world: World, host: str = "192.0.2.1") -> bool:
        """Say whether a connection is closed at accept."""
        door = world.reception.buildProtocol(MemoryTransport(world.clock, host).getPeer())
        return door is None


class GuessTests(RefusalTestCase):
    """Wrong proofs."""

    def test_refused_at_accept(self) -> None:
        """After the fourth guess in a row the address is refused before a byte is read; others are not; and when the
        penalty is over it is let in again. One line each says so."""
        world = self.world()
        for _ in range(4):
            self.assertFalse(self.refused(world))
            self.guess(world)
        self.assertTrue(self.refused(world))
        self.assertFalse(self.refused(world, "192.0.2.2"))
        world.clock.advance(19.9)
        self.assertTrue(self.refused(world))
        world.clock.advance(0.2)
        self.assertFalse(self.refused(world))
        self.assertEqual(len(self.lines("connections from 192.0.2.1 are refused for 20 s")), 1)
        (over,) = self.lines("are let in again")
        self.assertEqual(over, "connections from 192.0.2.1 are let in again; 2 were refused")
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_side_by_side(self) -> None:
        """Guesses on connections that are open already are not evaluated once the address is refused."""
        world = self.world()
        transports = [world.connect() for _ in range(10)]
        answered = [len(world.prove(transport, token=WRONG)[1]) for transport in transports]
        self.assertEqual(answered, [1] * 4 + [0] * 6)
        self.assertTrue(all(transport.gone for transport in transports))

    def test_unknown_names_cost_the_same(self) -> None:
        """Each guess with another name costs as much."""
        world = self.world()
        for number in range(4):
            self.guess(world, name=f"name-{number}")
        self.assertTrue(self.refused(world))

    def test_wrong_legs(self) -> None:
        """Legs with a wrong proof cost as much as wrong logins, and so do legs that were seen before."""
        for again in (False, True):
            world = self.world()
            client = world.login(host="192.0.2.9")
            seen = client.leg_message()
            first = world.connect("192.0.2.9")
            first.say(seen)
            self.assertIsInstance(first.heard()[0], LegOk)
            for number in range(4):
                bad = seen if again else Leg(seen.sid, 100 + number, "reverse", bytes(32))
                world.connect("192.0.2.66").say(bad)
            self.assertTrue(self.refused(world, "192.0.2.66"), again)

    def test_sessions_live_on(self) -> None:
        """A client that is connected from an address that is refused stays connected and may bring legs, until it
        leaves."""
        world = self.world()
        client = world.login()
        client.heard()
        for _ in range(4):
            self.guess(world)
        self.assertEqual(sum(need.count for need in client.needed), 2)
        for _ in range(2):
            (answer,) = client.offer_leg().heard()
            self.assertIsInstance(answer, LegOk)
        self.assertFalse(client.transport.gone)
        client.transport.lose()
        self.assertTrue(self.refused(world))

    def test_only_refused_are_counted(self) -> None:
        """Legs that are let in from a refused address do not count as refused; who tries to log in there does, once."""
        world = self.world()
        client = world.login()
        client.heard()
        early = world.connect()
        for _ in range(4):
            self.guess(world)
        for _ in range(2):
            client.bring_leg()
        hello = b'{"type":"hello","v":2,"min_v":2,"client":"x","nonce":"' + b"A" * 43 + b'"}'
        world.connect().say_json(hello)
        self.assertEqual(world.prove(early)[1], [])
        client.transport.lose()
        self.assertTrue(self.refused(world))
        world.clock.advance(60)
        (over,) = self.lines("let in again")
        self.assertEqual(over, "connections from 192.0.2.1 are let in again; 3 were refused")

    def test_legs_only(self) -> None:
        """Whoever comes in because a client is connected from there cannot log in."""
        world = self.world()
        world.login()
        for _ in range(4):
            self.guess(world)
        transport = world.connect()
        transport.say_json(b'{"type":"hello","v":2,"min_v":2,"client":"x","nonce":"' + b"A" * 43 + b'"}')
        self.assertEqual((transport.heard(), transport.aborted), ([], True))

    def test_log_is_limited(self) -> None:
        """A thousand addresses that are refused, and let in again, do not write two thousand lines; one timer serves
        them all."""
        world = self.world()
        for number in range(1000):
            for _ in range(4):
                self.guess(world, f"10.0.{number >> 8}.{number & 255}")
        self.assertEqual(world.reception.refusals.active, 1000)
        self.assertEqual(len(world.clock.getDelayedCalls()), 1)
        world.clock.pump([1.0] * 30)
        self.assertEqual((world.reception.refusals.active, world.clock.getDelayedCalls()), (0, []))
        self.assertLess(len(self.observer), 80)


class ScanTests(RefusalTestCase):
    """Connections that prove nothing."""

    def offences(self, world: World, offend: Any, times: int = 16) -> bool:
        """Do something `times` times, and say whether that had the address refused."""
        for _ in range(times):
            if self.refused(world):
                return True
            offend(world)
            world.clock.advance(0)
        return self.refused(world)

    def test_what_costs(self) -> None:
        """The deadline, bytes of another protocol, broken frames and broken TLS cost one second each."""
        state = Path(self.mktemp())
        state.mkdir()

        def late(world: World) -> None:
            world.connect()

        def says(data: bytes) -> Any:
            return lambda world: world.connect().say_bytes(data)

        for words, offend in (
            ("another protocol", says(b"GET / HTTP/1.1\r\n\r\n")),
            ("no JSON", says(b"\0\0\0\2xx")),
            ("too long", says(b"\0\xff\xff\xff")),
            ("no hello", says(b'\0\0\0\x0f{"type":"ping"}')),
            ("broken TLS", says(b"\x16\x03\x01\x00\x05hello")),
        ):
            world = World(tls=own_server_tls(state))
            self.assertFalse(self.offences(world, offend, 15), words)
            self.assertTrue(self.offences(world, offend, 1), words)
        world = self.world(handshake_timeout=5.0)
        for _ in range(16):
            late(world)
        world.clock.advance(5.0)
        self.assertTrue(self.refused(world))

    def test_what_is_free(self) -> None:
        """To leave, to be pushed out by a crowd, to meet another mode or version or a rival, or to bring a leg of a
        session that is over: none of it costs anything."""
        hello = b'{"type":"hello","v":%d,"min_v":%d,"client":"x","nonce":"' + b"A" * 43 + b'"}'

        def leaves(world: World) -> None:
            world.connect().lose()

        def leaves_in_the_middle(world: World) -> None:
            transport = world.connect()
            transport.say_json(hello % (2, 2))
            transport.lose()

        def is_stale(world: World) -> None:
            transport = world.connect()
            transport.say(Leg(b"s" * 16, 1, "reverse", bytes(32)))

        def other_version(world: World) -> None:
            world.connect().say_json(hello % (3, 3))

        def version_1(world: World) -> None:
            world.connect().say_json(b'{"type":"register","token":"x","remote_port":1,"protocol":"tcp","name":"x"}')

        def speaks_tls(world: World) -> None:
            world.connect().say_bytes(b"\x16\x03\x01\x02\x00")

        def in_a_crowd(world: World) -> None:
            world.connect()

        for offend in (leaves, leaves_in_the_middle, is_stale, other_version, version_1, speaks_tls, in_a_crowd):
            world = self.world(limits={"unauthenticated_per_address": 4})
            self.assertFalse(self.offences(world, offend, 200), offend.__name__)

    def test_tls_modes(self) -> None:
        """A client without TLS at a server that wants it pays nothing; nor does one that leaves in the middle of
        TLS."""
        state = Path(self.mktemp())
        state.mkdir()
        world = World(tls=own_server_tls(state))
        for _ in range(100):
            world.connect().say_json(b'{"type":"hello","v":2,"min_v":2,"client":"x","nonce":"' + b"A" * 43 + b'"}')
            transport = world.connect()
            transport.say_bytes(b"\x16\x03\x01\x02\x00\x01")
            transport.lose()
            world.clock.advance(0)
        self.assertFalse(self.refused(world))

    def test_name_in_use(self) -> None:
        """A rival with the right token pays nothing, however often he comes."""
        world = self.world()
        client = world.login("edge", b"one")
        for _ in range(20):
            rival = world.connect("192.0.2.2")
            world.prove(rival, "edge", b"two")
            client.say(*[Pong(ping.n) for ping in client.transport.heard() if isinstance(ping, Ping)])
            self.assertError(rival, "name_in_use")
        self.assertFalse(self.refused(world, "192.0.2.2"))

    def test_doctor(self) -> None:
        """`gotunnel doctor` beside a running client is no rival: one line that it was there, and none that warns. What
        only calls itself something like it is one."""
        warned = [("warn", "another running client calls itself edge"), ("warn", "192.0.2.2")]
        seen = [("info", "gotunnel doctor at 192.0.2.2:")]
        for agent, lines in (("gotunnel/1 doctor", seen), ("gotunnel/1 doctors", warned), ("doctor who", warned)):
            world = self.world()
            client = world.login("edge", b"one")
            log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
            asking = world.connect("192.0.2.2")
            world.prove(asking, "edge", b"two", agent=agent)
            client.say(*[Pong(ping.n) for ping in client.transport.heard() if isinstance(ping, Ping)])
            self.assertError(asking, "name_in_use")
            said = [(event["log_level"].name, formatEvent(event)) for event in log]
            self.assertEqual(len(said), len(lines), said)
            for (level, words), (expected, beginning) in zip(said, lines, strict=True):
                self.assertEqual((level, words[: len(beginning)]), (expected, beginning))

    def test_storm_of_good_clients(self) -> None:
        """Two hundred clients behind one address that come back at once, most of whom the busy server does not serve in
        time, are not refused once one of them got in."""
        world = self.world(limits={"unauthenticated_per_address": 300, "unauthenticated": 300})
        waiting = [world.connect() for _ in range(200)]
        world.prove(waiting[0], "edge-0")
        world.clock.advance(5.1)
        self.assertEqual(sum(transport.aborted for transport in waiting), 199)
        self.assertFalse(self.refused(world))
        for number in range(1, 200):
            world.login(f"edge-{number}")

    def test_off(self) -> None:
        """`enabled: false` refuses nobody, and an exempt network is never refused."""
        for penalties in (PenaltiesConfig(enabled=False), PenaltiesConfig(exempt=("192.0.2.0/24",))):
            world = self.world(penalties=penalties)
            for _ in range(20):
                self.guess(world)
            self.assertFalse(self.refused(world))
            self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """The end leaves no timer."""
        world = self.world()
        for _ in range(4):
            self.guess(world)
        world.reception.close_all()
        world.clock.advance(0)
        self.assertEqual(world.clock.getDelayedCalls(), [])
