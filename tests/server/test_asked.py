"""An access policy that answers later: what it finds when its answer comes, and who waits for it meanwhile."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from gotunnel.config.model import ServerConfig
from gotunnel.core.logins import Dial
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import StreamView
from gotunnel.errors import DialFailed
from gotunnel.interfaces import ILocal
from gotunnel.net.patience import LOOK
from gotunnel.server import access, crossing
from gotunnel.server.draining import ServerDraining
from gotunnel.server.keeping import GRACE
from gotunnel.server.plugins import plugins_prepared
from gotunnel.server.streams import Streams
from gotunnel.server.switching import switch_mapping
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import End
from gotunnel.wire.messages import MappingRequest, Nodes, Unregister
from tests.doubles import FakeLeg, FakeLocal
from tests.server.world import TOKEN, ServerTestCase, identity


class AskedTestCase(ServerTestCase):
    """A server whose policy answers when the test does."""

    def setUp(self) -> None:
        self.it = self.world(allow_dial=["mapping:*/*", "nodes:*"], allow_nodes=["*"], leg_wait=10.0)
        self.pending: list[Deferred[Any]] = []
        self.questions: list[Any] = []
        self.patch(access, "made", lambda *arguments: self)
        self.policy("networks")

    def policy(self, plugin: str | None) -> None:
        """Let the server ask a policy, or none."""
        values: dict[str, Any] = {"token": TOKEN}
        if plugin is not None:
            values["access"] = {"plugin": plugin, "allow": "0.0.0.0/0"}
        config = ServerConfig.model_validate(values)
        changed = self.it.hub.config.model_copy(update={"access": config.access})
        plugins_prepared(self.it.hub, changed, self.it.clock)()

    def publish(self, publication: object) -> None:
        """See IAccessPolicy: yes."""

    def dial(self, dial: object) -> Deferred[Any]:
        """See IAccessPolicy: later."""
        self.questions.append(dial)
        self.pending.append(Deferred())
        return self.pending[-1]

    enter = dial

    def turn(self) -> None:
        """Let ports close."""
        for _ in range(4):
            self.it.clock.advance(0)

    def counts(self) -> tuple[int, dict[Outcome, int]]:
        """Return how many visitors there are, and how the others fared."""
        return self.it.hub.live, dict(self.it.hub.outcomes)


class VisitorTests(AskedTestCase):
    """A visitor of a public port."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.it.login("edge")
        self.port = self.client.publish(8080)
        self.visitor = self.port.visit()
        self.streams = Streams(self.it.hub)

    def the_one(self) -> StreamView:
        """Return the only visitor of the list."""
        (found,) = self.streams
        return found

    def test_listed(self) -> None:
        """It is listed and counted like one that waits for a leg, also when its policy is not in use any more."""
        for plugin in ("networks", None):
            self.policy(plugin)
            seen = self.the_one()
            self.assertEqual((seen.client, seen.mapping, seen.state), ("edge", "web", "waiting"))
            self.assertEqual(self.streams.here(), {("edge", "web"): 1})
        self.pending[0].callback(None)
        self.assertEqual(self.the_one().conn, seen.conn)
        self.assertEqual(self.streams.here(), {("edge", "web"): 1})

    def test_kicked(self) -> None:
        """An operator can reset it."""
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        conn = self.the_one().conn
        self.assertTrue(self.streams.kick(conn))
        self.assertEqual((self.visitor.aborted, self.counts()), (True, (0, {Outcome.STOPPED: 1})))
        self.assertEqual((list(self.streams), self.streams.kick(conn)), ([], False))
        self.assertEqual(sum("ended: stopped" in str(formatEvent(event)) for event in observer), 1)
        peer = self.it.hub.peers["edge"]
        self.assertEqual((peer.visitors, peer._asked), (0, 0))

    def test_closed(self) -> None:
        """It is reset when its mapping was closed meanwhile, as those were that waited for a leg."""
        self.client.say(Unregister(9, ("web",)))
        self.turn()
        self.client.heard()
        self.client.publish(8081)
        self.pending[0].callback(None)
        self.assertEqual((self.visitor.aborted, self.counts()), (True, (0, {Outcome.STOPPED: 1})))

    def test_forgotten(self) -> None:
        """It is reset when its client was forgotten meanwhile."""
        self.client.transport.lose()
        self.it.clock.advance(GRACE - 2)
        late = self.port.visit()
        self.it.clock.advance(3)
        self.turn()
        self.assertEqual(self.it.hub.peers, {})
        self.pending[1].callback(None)
        self.assertTrue(late.aborted)
        self.assertEqual(self.counts(), (0, {Outcome.DENIED: 1, Outcome.STOPPED: 1}))

    def test_policy_gone(self) -> None:
        """It is reset when the server stops, also when its policy is not in use any more."""
        self.policy(None)

        async def close() -> None:
            """Nothing is open."""

        done: list[object] = []
        ServerDraining(self.it.hub, close, close).begin(20.0).addCallback(done.append)
        self.it.clock.pump([0, 0, 0, LOOK, LOOK])
        self.assertEqual((self.visitor.aborted, self.counts()), (True, (0, {Outcome.STOPPED: 1})))
        self.it.clock.pump([LOOK, 0, LOOK])
        self.assertEqual(done, [0])


class MemberTests(AskedTestCase):
    """A visitor of a group."""

    def setUp(self) -> None:
        super().setUp()
        self.it.clients_are(
            identity("one", TOKEN, allow_groups=["api"], limits={"visitors": 1}),
            identity("two", TOKEN, allow_groups=["api"]),
        )
        self.one, self.two = self.it.login("one"), self.it.login("two")
        for client in (self.one, self.two):
            client.publish(8080, group="api")
        self.port = self.it.relay.port(8080)

    def asked(self) -> list[str]:
        """Return about whose visitors the policy was asked."""
        return [question.client for question in self.questions]

    def test_client_away(self) -> None:
        """The client that it was to reach is away when the answer comes: it goes to one that is there, at once."""
        visitor = self.port.visit()
        self.assertEqual(self.asked(), ["one"])
        self.one.transport.lose()
        self.pending[0].callback(None)
        self.assertEqual(self.asked(), ["one", "two"])
        leg = self.two.bring_leg()
        self.pending[1].callback(None)
        self.assertEqual([opened.src for opened in leg.opened], [visitor.address])
        self.assertEqual([self.it.hub.peers[name].visitors for name in ("one", "two")], [0, 1])

    def test_none_there(self) -> None:
        """Where no other client is there either it waits for its own."""
        self.port.visit()
        for client in (self.one, self.two):
            client.transport.lose()
        self.pending[0].callback(None)
        self.assertEqual(self.it.hub.peers["one"].pending, 1)
        leg = self.it.login("one", b"two").bring_leg()
        self.assertEqual(len(leg.opened), 1)

    def test_room(self) -> None:
        """Those about whom the policy is asked take room: the next visitor goes to a client that has some."""
        for _ in range(4):
            self.port.visit()
        self.assertEqual(self.asked(), ["one", "two", "two", "two"])
        self.assertEqual(self.counts(), (4, {}))


class CrossingTests(AskedTestCase):
    """A client that wants to reach another one through the server."""

    def setUp(self) -> None:
        super().setUp()
        self.pairs: list[tuple[FakeLocal, FakeLocal]] = []
        self.patch(crossing, "pair", self.pair)
        self.one, self.two = self.it.login("one"), self.it.login("two")
        self.one.publish(8080, clients=("*",))

    def pair(self, relay: object, address: str, host: str) -> tuple[FakeLocal, FakeLocal]:
        """See net.pair."""
        self.pairs.append((FakeLocal(address), FakeLocal(address)))
        return self.pairs[-1]

    def asks(self, **opening: str) -> Deferred[ILocal]:
        """The client asks to be led there."""
        leg = FakeLeg(self.it.clock, None, End.DIALLER, None, False)
        reached = self.it.session(self.two).forward.route(leg, OpenBody("c-1", "192.0.2.9:5", **opening)).dial()
        assert isinstance(reached, Deferred)
        return reached

    def assertFailed(self, reached: Deferred[ILocal], code: str) -> None:
        """It was not led there; nothing is left of it, and nothing was logged as a failure."""
        failure: Failure = self.failureResultOf(reached, DialFailed)
        self.assertEqual(failure.value.code, code)
        self.assertEqual((self.pairs, self.counts()), ([], (0, {})))

    def test_closed(self) -> None:
        """The mapping was closed meanwhile."""
        reached = self.asks(mapping="web", client="one")
        self.one.say(Unregister(9, ("web",)))
        self.turn()
        self.pending[0].callback(None)
        self.assertFailed(reached, "unknown_mapping")

    def away(self) -> None:
        """The other client closes its mapping and leaves, and is forgotten."""
        self.one.say(Unregister(9, ("web",)))
        self.turn()
        self.one.transport.lose()
        self.turn()
        self.assertNotIn("one", self.it.hub.peers)

    def test_forgotten(self) -> None:
        """The other client was forgotten meanwhile."""
        reached = self.asks(mapping="web", client="one")
        self.away()
        self.pending[0].callback(None)
        self.assertFailed(reached, "unknown_mapping")

    def test_back(self) -> None:
        """The other client was forgotten meanwhile, and has come back: it is this one that gets the visitor."""
        self.asks(mapping="web", client="one")
        self.away()
        one = self.it.login("one")
        one.publish(8080, clients=("*",))
        leg = one.bring_leg()
        for number in range(2):
            self.pending[number].callback(None)
        self.assertEqual(len(leg.opened), 1)

    def test_node_back(self) -> None:
        """The client that leads to a node was forgotten while the policy was asked about its visitor, and is back: the
        visitor is reset at once, and does not wait at what nobody holds any more."""
        self.one.say(Nodes(8, ("n1",)))
        self.turn()
        reached = self.asks(dial="n1:10250")
        self.pending[0].callback(None)
        self.one.say(Nodes(9, ()))
        self.away()
        one = self.it.login("one")
        one.say(Nodes(10, ("n1",)))
        self.turn()
        self.pending[1].callback(None)
        self.failureResultOf(reached, DialFailed)
        self.assertEqual(self.counts(), (0, {Outcome.DENIED: 1}))

    def test_not_shared(self) -> None:
        """The mapping is not shared any more."""
        reached = self.asks(mapping="web", client="one")
        self.one.register(MappingRequest("web", 8080))
        self.pending[0].callback(None)
        self.assertFailed(reached, "unknown_mapping")

    def test_switched_off(self) -> None:
        """The mapping was switched off meanwhile."""
        reached = self.asks(mapping="web", client="one")
        Deferred.fromCoroutine(switch_mapping(self.it.hub, "one", "web", off=True))
        self.turn()
        self.pending[0].callback(None)
        self.assertFailed(reached, "mapping_down")

    def test_whose_mapping(self) -> None:
        """Where the asker names no client, the policy is asked about the client to which it would be led."""
        self.asks(mapping="web")
        self.asks(mapping="web", client="one")
        self.assertEqual([question.target for question in self.questions], ["mapping:one/web"] * 2)
        self.assertEqual(self.questions[0], Dial("two", "mapping:one/web", "192.0.2.9:5"))

    def test_node_gone(self) -> None:
        """The node is not announced any more."""
        self.one.say(Nodes(8, ("n1",)))
        self.turn()
        reached = self.asks(dial="n1:10250")
        self.one.say(Nodes(9, ()))
        self.turn()
        self.pending[0].callback(None)
        self.assertFailed(reached, "not_allowed")
