"""How much an authenticated client may say."""

from __future__ import annotations

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.server.published import PAUSE, STRETCH
from gotunnel.wire.messages import (
    Error,
    LegsFailed,
    MappingRequest,
    MappingResult,
    MappingState,
    Message,
    Nodes,
    Ping,
    Pong,
    Register,
    RegisterResp,
    Unregister,
    encode,
)
from tests.server.world import Client, ServerTestCase, World


class FloodTests(ServerTestCase):
    """Messages per second: 100, and 500 + 4 for each of 128 mappings at once."""

    BURST = 5 * 100 + 4 * 128

    def until_cut(self, client: Client, message: Message, at_most: int) -> int | None:
        """Send a message until the session is cut; return how many were taken."""
        for number in range(at_most):
            client.say(message)
            if client.transport.gone:
                return number
        return None

    def test_pings(self) -> None:
        """A flood of pings is cut after the burst, with a word to the client and a line in the log; others are not."""
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        world = self.world()
        client, other = world.login(), world.login("other")
        self.assertEqual(self.until_cut(client, Ping(1), 100_000), self.BURST)
        *_, last = client.heard()
        self.assertEqual(last, Error("limit", "too many messages in a short time"))
        world.clock.advance(0)
        lost = [formatEvent(event) for event in observer if "client edge lost" in formatEvent(event)]
        self.assertEqual(len(lost), 1)
        self.assertIn("too many messages", lost[0])
        other.say(Ping(7))
        self.assertEqual(other.heard(), [Pong(7)])

    def test_registers(self) -> None:
        """A flood of requests is cut too, however fast each is answered."""
        world = self.world()
        client = world.login()
        cut = self.until_cut(client, Unregister(1, ("nothing",)), 100_000)
        self.assertIsNotNone(cut)
        assert cut is not None
        self.assertLessEqual(cut, self.BURST)

    def test_long_ones(self) -> None:
        """A long message counts as several, or what may be a hundred a second would be megabytes to be read."""
        client = self.world().login()
        names = tuple(f"{number:0120}" for number in range(500))
        self.assertGreater(len(encode(Unregister(1, names))), 60_000)
        cut = self.until_cut(client, Unregister(1, names), 1000)
        assert cut is not None
        self.assertLess(cut, self.BURST // 15)

    def test_rest(self) -> None:
        """A list of nodes that takes long is followed by a rest that is as long; the answers come all the same, in
        order."""
        world = self.world()
        client = world.login()

        def slow(nodes: tuple[str, ...]) -> tuple[MappingResult, ...]:
            world.clock.rightNow += 0.03
            return ()

        world.hub.peer("edge").announced.announce = slow  # type: ignore[method-assign]
        client.say(*[Nodes(number, ()) for number in range(1, 4)], Unregister(4, ()))
        heard = []
        for _ in range(4):
            heard.append([message.id for message in client.heard() if isinstance(message, RegisterResp)])
            world.clock.advance(0.0301)
        self.assertEqual(heard, [[1], [2], [3], [4]])

    def test_below_the_rate(self) -> None:
        """90 messages a second are welcome for ever; 200 a second are cut within ten seconds or so."""
        for rate, cut in ((90, False), (200, True)):
            world = self.world()
            client = world.login()
            for _ in range(12 * rate):
                world.clock.advance(1 / rate)
                client.say(Ping(1))
            self.assertEqual(client.transport.gone, cut, rate)

    def test_configured(self) -> None:
        """The number comes from the configuration."""
        world = self.world(limits={"messages": 2, "mappings": 1})
        self.assertEqual(self.until_cut(world.login(), Ping(1), 100), 5 * 2 + 4)

    def test_thousands_of_targets(self) -> None:
        """A client with 4,096 mappings connects, loses all targets and finds them again, at once: nothing is cut."""
        world = self.world(limits={"mappings": 4096})
        client = world.login()
        names = [f"m{number}" for number in range(4096)]
        for start in range(0, 4096, 64):
            part = names[start : start + 64]
            requests = tuple(MappingRequest(name, 20000 + start + n) for n, name in enumerate(part))
            client.say(Register(start, requests, start + 64 < 4096))
            client.say(*[MappingState(name, "down") for name in part])
        for state in ("up", "down", "up"):
            world.clock.pump([PAUSE / 8] * 5000)
            client.say(*[MappingState(name, state) for name in names])
        world.clock.pump([PAUSE / 8] * 5000)
        answers = [message for message in client.heard() if isinstance(message, RegisterResp)]
        self.assertEqual((len(answers), client.transport.gone), (64, False))
        self.assertEqual(len(world.relay.ports), 4096)

    def test_answers_do_not_count(self) -> None:
        """A client that cannot bring the legs it is asked for says so for each of them, and is not cut for that; what
        nobody asked for counts. The log is not filled either."""
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        world = self.world(limits={"messages": 1, "mappings": 1, "pending": 3000})
        client = world.login()
        port = client.publish(8080)
        for _ in range(2000):
            port.visit()
        client.heard()
        for _ in range(sum(need.count for need in client.needed)):
            client.say(LegsFailed(False, 1, "no descriptors"))
        self.assertFalse(client.transport.gone)
        self.assertLess(sum("cannot bring" in formatEvent(event) for event in observer), 140)
        self.assertIsNotNone(self.until_cut(client, LegsFailed(False, 1, "unasked"), 20))

    def test_rivals_do_not_count(self) -> None:
        """Others with the same name, of whom each has the client asked whether it lives, do not have it cut."""
        world = self.world(limits={"messages": 1, "mappings": 1})
        client = world.login()
        for number in range(50):
            world.prove(world.connect(f"192.0.2.{number}"), "edge", b"two")
            client.say(*[Pong(ping.n) for ping in client.heard() if isinstance(ping, Ping)])
        self.assertFalse(client.transport.gone)

    def test_others_have_their_turn(self) -> None:
        """A client that asks for a thousand ports at once gets them some at a time, with pauses in which the loop
        serves others; and so it is with what it gives up, and with what it says of its targets."""
        world = self.world(limits={"mappings": 1024})
        client = world.login()
        names = tuple(f"m{number}" for number in range(1024))
        requests = tuple(MappingRequest(name, 20000 + number) for number, name in enumerate(names))
        most = [0]

        def count() -> int:
            return sum(port.open for port in world.relay.ports)

        def until(wanted: int) -> None:
            while count() != wanted:
                before = count()
                world.clock.advance(PAUSE)
                most.append(abs(count() - before))
                self.assertLess(len(most), 2000)

        client.say(*[Register(n, requests[n : n + 64], True) for n in range(0, 1024, 64)])
        until(1024)
        for state, wanted in (("down", 0), ("up", 1024)):
            client.say(*[MappingState(name, state) for name in names])
            until(wanted)
        client.say(Unregister(2000, names))
        until(0)
        self.assertLessEqual(max(most), STRETCH)

    def test_news_do_not_fill_the_log(self) -> None:
        """A client that opens and closes its ports, says that its targets come and go, and comes back again and again,
        as fast as it may for two minutes, has lines for its mappings several times over, and then a few a second; each
        kind tells how many it left out."""
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        world = self.world()
        names = tuple(f"m{number}" for number in range(64))
        requests = tuple(MappingRequest(name, 20000 + number) for number, name in enumerate(names))
        client, back = world.login(), 0
        for _ in range(240):
            client.say(Register(1, requests), *[MappingState(name, "down") for name in names], Unregister(2, names))
            for _ in range(6):
                world.clock.advance(0.5 / 6)
            if client.transport.gone:
                client, back = world.login(), back + 1
        lines = [formatEvent(event) for event in observer if event.get("log_namespace", "").startswith("gotunnel")]
        self.assertGreater(back, 2)  # it was cut for what it says, and came back
        self.assertLess(len(lines), 120 * 5 + 5 * 4 * 128)
        for kind in ("open at", "closed at", "is down at"):
            self.assertTrue([line for line in lines if kind in line and "more like this were not logged" in line], kind)

    def test_refusals_do_not_fill_the_log(self) -> None:
        """A client that asks for what it may not have, a thousand mappings at a time, writes no thousand lines."""
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        client = World().login()
        for _ in range(5):
            results = client.register(*[MappingRequest(f"m{number}", 22) for number in range(400)])
            self.assertEqual({result.code for result in results}, {"acl_denied"})
        self.assertLess(len(observer), 150)
