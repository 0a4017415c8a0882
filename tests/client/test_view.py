"""How a client with several servers looks to its operator."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.address import parse_host_port
from gotunnel.client import addresses
from gotunnel.client.forwardview import ForwardsView
from gotunnel.client.links import Links
from gotunnel.client.linkview import LinkView
from gotunnel.client.view import ClientView
from gotunnel.config.difference import difference
from gotunnel.config.model import ForwardConfig, MappingConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.view import SWITCHED_OFF, SWITCHED_OFF_AT_SERVER, MappingState
from gotunnel.errors import DialFailed
from gotunnel.wire.greeting import NODES
from gotunnel.wire.handshake import ServerHandshake, derive_key
from gotunnel.wire.messages import Drain, MappingResult, NeedLegs, Nodes, Register, RegisterResp
from gotunnel.wire.messages import MappingState as Told
from tests.client.test_links import A, B, Many
from tests.client.world import TOKEN, ClientTestCase, FakeServer, World, mapping


class ServersTests(ClientTestCase):
    """Two servers, or two addresses of one."""

    def view(self, world: Many) -> ClientView:
        """Return the face of a client."""
        links: Links = world.links
        service = SimpleNamespace(
            links=links, each_link=tuple(links.links), config=world.links._config, draining=False
        )
        return ClientView(service, world.clock)  # type: ignore[arg-type]

    def test_one_is_away(self) -> None:
        """The death of one server of two makes a client that serves by the other no unready one; it is seen all the
        same."""
        world = Many(A, B)
        world.paths[B].fails = "connection refused"
        world.links.start()
        world.answer(A).grant()
        view = self.view(world)
        self.assertEqual([finding.check for finding in view.ready() if not finding.ok], [])
        self.assertIn(f"{B}: not connected: connection refused", view.ready()[0].reason)
        self.assertEqual(dict(view.expected()), {A: True, B: False})

    def test_address_of_ipv6(self) -> None:
        """Where a mapping would be that is not open yet is written as an address, in brackets if it is one of IPv6."""
        wanted = MappingConfig.model_validate({"name": "six", "local": 1, "remote": "[2001:db8::1]:8080"})
        (found,) = self.view(Many(A, mappings=(wanted,))).mappings()
        self.assertEqual(found.address, "[2001:db8::1]:8080")

    def test_both_are_away(self) -> None:
        """With no server left it is not ready."""
        world = Many(A, B)
        for path in world.paths.values():
            path.fails = "connection refused"
        world.links.start()
        self.assertIn("servers", [finding.check for finding in self.view(world).ready() if not finding.ok])

    def test_in_reserve(self) -> None:
        """An address in reserve is neither waited for nor missed."""
        world = Many(A, B)
        world.leads = {A: b"server", B: b"server"}
        world.links.start()
        world.answer(A).grant()
        world.answer(B, accept=False)
        view = self.view(world)
        self.assertEqual([finding.check for finding in view.ready() if not finding.ok], [])
        self.assertEqual(dict(view.expected()), {A: True})

    def test_retired_with_a_visitor(self) -> None:
        """A link that the file names no more, and that a visitor still uses, has ended as it should: all is well."""
        world = Many(A, B)
        world.links.start()
        servers = {host: world.answer(host) for host in (A, B)}
        for server in servers.values():
            server.grant()
        servers[B].say(NeedLegs(False, 1))
        servers[B].take(world.paths[B].attempts[-1][2])
        leg = world.relay.legs[-1]
        leg.receive_open(servers[B].open_body(leg))
        link = world.at(B)
        link.leave()
        servers[B].transport.lose()
        world.clock.advance(0)
        self.assertIn(link, world.links.links)
        self.assertEqual([finding.ok for finding in self.view(world).alive()], [True])

    def test_name_leads_nowhere(self) -> None:
        """A server whose name does not resolve is seen, with the reason."""
        def look(clock: object, host: str, port: int, timeout: float) -> Deferred[list[str]]:
            failed: Deferred[list[str]] = Deferred()
            failed.errback(DialFailed("unknown_host", f"{host}: the name does not resolve"))
            return failed

        self.patch(addresses.NameWatch.__init__, "__defaults__", (look,))
        world = Many(A, "nowhere.example.com")
        world.links.start()
        world.answer(A).grant()
        view = self.view(world)
        name, why = "nowhere.example.com:17000", "nowhere.example.com: the name does not resolve"
        self.assertEqual([(each.name, each.reason) for each in view.sessions()], [(A, ""), (name, why)])
        self.assertEqual(dict(view.expected()), {A: True, name: False})
        self.assertIn(why, view.ready()[0].reason)
        self.assertTrue(view.ready()[0].ok)

    def test_reload_keeps_figures(self) -> None:
        """What a mapping has carried stays when the file changes another one."""
        world = Many(A)
        world.links.start()
        world.answer(A).grant()
        published = world.at(A).published
        published.carried("web", StreamEnd(Outcome.COMPLETED, None, 3, 4))
        before = world.links._config
        after = before.model_copy(update={"mappings": (*before.mappings, mapping("ssh", 22, 2222))})
        self.successResultOf(Deferred.fromCoroutine(world.links.apply(difference("client", before, after))))
        carried = published.statuses["web"].carried
        self.assertEqual((carried.ended, carried.up, carried.down), (1, 3, 4))
        self.assertEqual(published.statuses["ssh"].carried.ended, 0)


class ForwardsTests(ClientTestCase):
    """A forward listens whether or not anybody serves its visitors: that is shown."""

    def shown(self, world: World) -> tuple[MappingState, str]:
        """Return what the view says of the only one."""
        (found,) = ForwardsView(world.links.forwards, "edge", encrypted=True).mappings(Counter())
        return found.state, found.reason

    def test_who_serves(self) -> None:
        """While no server is there its visitors wait; where the server does not support forwards they are refused;
        else it is open, until that server has said that it stops."""
        forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:5432", "dial": "10.0.0.1:5432"})
        away = (MappingState.AWAY, "no server is connected; visitors wait for one")
        for caps, state, reason in (
            ((), MappingState.REFUSED, "the server's version does not support forwards; upgrade it"),
            (("forward",), MappingState.OPEN, ""),
        ):
            world = World(forwards=(forward,))
            world.links.start()
            self.assertEqual(self.shown(world), away)
            server = world.server()
            server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), caps)
            server.challenge().accept().grant()
            self.assertEqual(self.shown(world), (state, reason))
            if caps:
                server.say(Drain(10_000))
                self.assertEqual(self.shown(world), away)
            server.transport.lose()
            self.assertEqual(self.shown(world), away)

    def test_changed_while_the_server_stops(self) -> None:
        """A server that has said that it stops serves nobody again because the file has another forward."""
        values = {"name": "db", "listen": "127.0.0.1:5432", "dial": "10.0.0.1:5432"}
        world = World(forwards=(ForwardConfig.model_validate(values),))
        world.links.start()
        server = world.server()
        server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), ("forward",))
        server.challenge().accept().grant()
        server.say(Drain(600_000))
        before = world.links._config
        other = ForwardConfig.model_validate({**values, "dial": "10.0.0.2:5432"})
        after = before.model_copy(update={"forwards": (other,)})
        self.successResultOf(Deferred.fromCoroutine(world.links.apply(difference("client", before, after))))
        self.assertEqual(self.shown(world)[0], MappingState.AWAY)
        server.transport.lose()
        self.assertEqual(self.shown(world)[0], MappingState.AWAY)

    def test_refused_before(self) -> None:
        """That the server has refused a visitor says nothing about the target that a reload has put in place since."""
        forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:5432", "dial": "10.0.0.1:5432"})
        world = World(forwards=(forward,))
        world.links.start()
        server = world.server()
        server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), ("forward",))
        server.challenge().accept().grant()
        (port,) = world.links.forwards.ports
        port.refused = "name it in allow_dial"
        for dial, reason in (
            ("10.0.0.1:5432", "the server refused the last visitor: name it in allow_dial"), ("10.0.0.2:5432", ""),
        ):  # fmt: skip
            before = world.links._config
            change = {"forwards": (forward.model_copy(update={"dial": parse_host_port(dial), "encrypt": False}),)}
            after = before.model_copy(update=change)
            self.successResultOf(Deferred.fromCoroutine(world.links.apply(difference("client", before, after))))
            self.assertEqual(self.shown(world), (MappingState.OPEN, reason))

    def test_carried_by_one_that_moves(self) -> None:
        """A forward that listens elsewhere after a reload goes on counting, like a mapping that gets another port."""
        forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:5432", "dial": "10.0.0.1:5432"})
        world = World(forwards=(forward,))
        world.links.start()
        (port,) = world.links.forwards.ports
        port.carried.ended = 3
        before = world.links._config
        after = before.model_copy(
            update={"forwards": (forward.model_copy(update={"listen": parse_host_port("127.0.0.1:5433")}),)}
        )
        applying = Deferred.fromCoroutine(world.links.apply(difference("client", before, after)))
        world.clock.advance(1)
        self.successResultOf(applying)
        (found,) = ForwardsView(world.links.forwards, "edge", encrypted=True).mappings(Counter())
        self.assertEqual((found.address, found.ended), ("127.0.0.1:5433", 3))

    def test_drained(self) -> None:
        """A client that lets nobody in any more has not failed: no alarm is to come of it."""
        forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:5432", "dial": "10.0.0.1:5432"})
        world = World(forwards=(forward,))
        world.links.start()
        world.links.drain(0)
        self.assertEqual(
            self.shown(world), (MappingState.PENDING, "the client is draining: it accepts no new visitors")
        )

    def test_switched_off(self) -> None:
        """A forward to a mapping that the server calls off is shown so, and logged once; the word on another mapping,
        and on whichever client shares one of that name, changes nothing, and the end of the session takes it back."""
        forwards = [
            ForwardConfig.model_validate({"name": name, "listen": f"127.0.0.1:{port}", "dial": dial})
            for port, (name, dial) in enumerate((("one", "mapping:home/api"), ("any", "mapping:api")), 5432)
        ]
        world = World(forwards=forwards)
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        world.links.start()
        server = world.server()
        server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), ("forward",))
        server.challenge().accept().grant()

        def shown() -> list[tuple[MappingState, str]]:
            found = ForwardsView(world.links.forwards, "edge", encrypted=True).mappings(Counter())
            return [(each.state, each.reason) for each in found]

        is_open = (MappingState.OPEN, "")
        for _ in range(2):
            server.say(Told("api", "down", SWITCHED_OFF, "home"), Told("web", "down", SWITCHED_OFF, "home"))
        self.assertEqual(shown(), [(MappingState.OFF, SWITCHED_OFF_AT_SERVER), is_open])
        server.say(Told("api", "up", "", "home"), Told("api", "up", "", "home"))
        self.assertEqual(shown(), [is_open, is_open])
        server.say(Told("api", "down", "so\x1b[2J", "home"))
        self.assertEqual(shown(), [(MappingState.OFF, "so\\x1b[2J"), is_open])
        lines = [line for line in map(formatEvent, log) if line.startswith("forward one: ")]
        self.assertEqual(lines, [
            f"forward one: the server does not lead visitors to mapping:home/api: {SWITCHED_OFF_AT_SERVER}; gotunnel "
            "status there shows it",
            "forward one: visitors reach mapping:home/api again",
            "forward one: the server does not lead visitors to mapping:home/api: so\\x1b[2J; gotunnel status "
            "there shows it",
        ])  # fmt: skip
        server.transport.lose()
        before = len(world.path.attempts)
        world.run_until(lambda: len(world.path.attempts) > before)
        server = world.server()
        server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), ("forward",))
        server.challenge().accept().grant()
        self.assertEqual(shown(), [is_open, is_open])


class NodesTests(ClientTestCase):
    """What the server says of the nodes that the client announces."""

    def setUp(self) -> None:
        self.it = World(nodes=({"match": ["n-1", "n-2"], "allow_ports": [10250]},))

    def connected(self, *caps: str) -> FakeServer:
        """Connect to a server with these capabilities."""
        self.it.links.start()
        server = self.it.server()
        server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), caps)
        return server.challenge().accept()

    def shown(self) -> tuple[list[str], dict[str, str]]:
        """Return the nodes that are led to, and the others."""
        found = LinkView(self.it.link, self.it.clock, "edge").session()
        return found.nodes, found.refused_nodes

    def test_answer(self) -> None:
        """The nodes that the server leads to are told apart from those that it refuses, with its reason; what it says
        of a node that nobody has announced is passed over. Without a session nothing is known."""
        server = self.connected(NODES)
        (asked,) = [m for m in server.heard() if isinstance(m, Nodes)]
        self.assertEqual(self.shown(), ([], {}))
        server.say(RegisterResp(asked.id, "ok", (
            MappingResult("n-1", "ok"), MappingResult("n-2", "fail", None, "acl_denied", "not\nyou"),
            MappingResult("n-3", "ok"), MappingResult("n-4", "fail", None, "acl_denied", "nor that"),
        )))  # fmt: skip
        self.assertEqual(self.shown(), (["n-1"], {"n-2": "not\\nyou"}))
        server.transport.lose()
        self.assertEqual(self.shown(), ([], {}))

    def test_changed_configuration(self) -> None:
        """What holds is the last answer, also when no node is left."""
        server = self.connected(NODES)
        nodes, mappings = [m for m in server.heard() if isinstance(m, (Nodes, Register))]
        refused = tuple(MappingResult(name, "fail", None, "acl_denied") for name in ("n-1", "n-2"))
        server.say(RegisterResp(nodes.id, "ok", refused), RegisterResp(mappings.id, "ok"))
        self.assertEqual(self.shown(), ([], {"n-1": "acl_denied", "n-2": "acl_denied"}))
        before = self.it.links._config
        after = before.model_copy(update={"nodes": ()})
        self.successResultOf(Deferred.fromCoroutine(self.it.links.apply(difference("client", before, after))))
        (asked,) = [m for m in server.heard() if isinstance(m, Nodes)]
        server.say(RegisterResp(asked.id, "ok"))
        self.assertEqual(self.shown(), ([], {}))

    def test_old_server(self) -> None:
        """A server that knows no nodes refuses all of them."""
        self.connected()
        why = "the server's version does not lead to nodes (client.nodes); upgrade it"
        self.assertEqual(self.shown(), ([], {"n-1": why, "n-2": why}))

    def test_ready(self) -> None:
        """A refused node makes no unready client: what it serves otherwise is served."""
        server = self.connected(NODES)
        nodes, mappings = [m for m in server.heard() if isinstance(m, (Nodes, Register))]
        server.say(RegisterResp(nodes.id, "ok", (MappingResult("n-1", "fail", None, "acl_denied", "no"),)))
        server.say(RegisterResp(mappings.id, "ok", (MappingResult("web", "ok", 8080),)))
        service = SimpleNamespace(
            links=self.it.links, each_link=tuple(self.it.links.links), config=self.it.links._config, draining=False
        )
        self.assertTrue(all(each.ok for each in ClientView(service, self.it.clock).ready()))  # type: ignore[arg-type]
        self.assertEqual(self.shown(), ([], {"n-1": "no"}))
