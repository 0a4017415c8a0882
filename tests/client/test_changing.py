"""What a link says to its server when its file changes, frame by frame, and what it still serves of what is gone."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from gotunnel.client.leaving import IN_FLIGHT
from gotunnel.client.standing import Standing
from gotunnel.config.difference import difference
from gotunnel.config.model import ForwardConfig, MappingConfig
from gotunnel.net.patience import LOOK
from gotunnel.wire.greeting import FORWARD
from gotunnel.wire.handshake import ServerHandshake, derive_key
from gotunnel.wire.messages import Drain, DrainOk, Error, MappingResult, Register, RegisterResp, Unregister
from tests.client.world import TOKEN, ClientTestCase, FakeServer, World, mapping


class ChangingTests(ClientTestCase):
    """One session, and mappings that change."""

    def begin(self, *mappings: MappingConfig, **keys: Any) -> tuple[World, FakeServer]:
        """Connect, with all mappings granted."""
        world = World(*mappings, **keys)
        server = world.connected()
        server.grant()
        return world, server

    def change(self, world: World, *mappings: MappingConfig, **keys: Any) -> None:
        """The file says this now."""
        before = world.links._config
        after = before.model_copy(update={"mappings": mappings, **keys})
        self.successResultOf(Deferred.fromCoroutine(world.links.apply(difference("client", before, after))))

    def test_frames(self) -> None:
        """What is gone or moves is given up first, in one frame; then what is new or moves is asked for. Of what stays
        nothing is said."""
        world, server = self.begin(mapping("stays"), mapping("goes", remote=1001), mapping("moves", remote=1002))
        self.change(world, mapping("stays", local=9), mapping("moves", remote=1001), mapping("comes", remote=1003))
        gone, asked = server.heard()
        assert isinstance(gone, Unregister) and isinstance(asked, Register)
        self.assertEqual(gone.names, ("goes", "moves"))
        self.assertEqual([(m.name, m.remote_port) for m in asked.mappings], [("moves", 1001), ("comes", 1003)])
        self.assertFalse(asked.more)

    def test_clients_of_a_mapping(self) -> None:
        """Who may reach a mapping is for the server to know: it is asked for again, and not given up."""
        world, server = self.begin(mapping())
        self.change(world, mapping().model_copy(update={"clients": ("other",)}))
        (asked,) = server.heard()
        assert isinstance(asked, Register)
        self.assertEqual([m.clients for m in asked.mappings], [("other",)])

    def test_opened_a_moment_ago(self) -> None:
        """An OPEN that was on its way is served; one that comes when the server has long closed the port is not."""
        world, server = self.begin(mapping("goes"), mapping("stays", remote=1001))
        first, second = server.legs(2)
        self.change(world, mapping("stays", remote=1001))
        first.receive_open(server.open_body(first, "goes"))
        self.assertEqual(len(world.relay.dials), 1)
        world.clock.advance(IN_FLIGHT)
        second.receive_open(server.open_body(second, "goes"))
        self.assertEqual((len(world.relay.dials), second.refused), (1, ["unknown_mapping"]))

    def test_removed_twice(self) -> None:
        """A mapping that is added back and removed again gives its visitors the whole time from the last removal, and
        serves an OPEN that was on its way then."""
        world, server = self.begin(mapping("goes"), drain_timeout=30)
        first, second = server.legs(2)
        self.change(world)
        world.clock.advance(4)
        self.change(world, mapping("goes"))
        first.receive_open(server.open_body(first, "goes"))
        world.relay.dials[0][1].callback(object())
        self.change(world)
        world.clock.advance(2)
        second.receive_open(server.open_body(second, "goes"))
        self.assertEqual((len(world.relay.dials), second.refused), (2, []))
        world.clock.advance(27)
        self.assertEqual(first.resets, [])
        world.clock.advance(1.5)
        self.assertEqual(first.resets, ["going_away"])
        self.assertEqual(world.link._leaving._last, {})

    def test_another_target(self) -> None:
        """The next visitor is led to the target that the file names now, whoever came before."""
        world, server = self.begin(mapping(local=8000))
        for local in (8000, 8001, 8001, 8000):
            self.change(world, mapping(local=local))
            (leg,) = server.legs()
            leg.receive_open(server.open_body(leg))
            self.assertEqual(str(world.relay.dials[-1][0]), f"127.0.0.1:{local}")

    def test_without_a_session(self) -> None:
        """A change while nobody is connected is what the next session asks for."""
        world = World(mapping())
        world.path.fails = "no answer"
        world.link.start()
        self.change(world, mapping("other", remote=1001))
        world.path.fails = None
        world.run_until(lambda: len(world.path.attempts) > 1)
        (asked,) = world.connected().grant()
        self.assertEqual([m.name for m in asked.mappings], ["other"])

    def test_left_a_moment_ago(self) -> None:
        """A server that is being left is asked for nothing more, although its connection is still there."""
        world, server = self.begin(mapping())
        (leg,) = server.legs()
        world.link.leave()
        server.heard()
        self.change(world, mapping(), mapping("comes", remote=1003))
        self.assertEqual(server.heard(), [])
        leg.lose()
        server.say(RegisterResp(2, "ok"), DrainOk())
        world.clock.advance(LOOK)
        self.assertTrue(server.transport.closed)

    def test_another_token_during_an_attempt(self) -> None:
        """An attempt with the former token is under way: when it has failed, the next one does not wait. After a
        session that it led to, there is nothing to hurry for."""
        world = World(mapping())
        world.links.start()
        server = world.server().challenge()
        self.change(world, mapping(), token=SecretStr(TOKEN[::-1]))
        server.transport.payloads()
        with capturedLogs() as logs:
            server.say(Error("auth_failed", "the client name or the token is wrong"))
        self.assertIn("next try in 0.0 s", str(formatEvent(logs[-1])))
        world.clock.advance(0)
        self.assertEqual(len(world.path.attempts), 2)
        server = world.server()
        self.change(world, mapping(), token=SecretStr(TOKEN))
        world.server_token = TOKEN[::-1]
        server.challenge().accept()
        server.say(Error("going_away", "maintenance", 30.0))
        world.clock.advance(29)
        self.assertEqual(len(world.path.attempts), 2)

    def test_another_name(self) -> None:
        """A client that reconnects under another name has been without a session since the old one ended."""
        world, server = self.begin(mapping())
        world.clock.advance(5)
        self.change(world, mapping(), name="other")
        server.say(RegisterResp(2, "ok"), DrainOk())
        world.clock.advance(LOOK)
        self.assertIsNone(world.link.session)
        self.assertGreaterEqual(world.link.since, 5)

    def test_forwards_of_a_server_that_stops(self) -> None:
        """A server that is about to stop serves no forwards, whatever a reload adds: their visitors wait for the next
        session. Nor are they turned away because such a server is too old for forwards."""
        for caps in ((FORWARD,), ()):
            world = World(mapping())
            world.links.start()
            server = world.server()
            server.handshake = ServerHandshake(lambda name: (derive_key(TOKEN, name),), caps)
            server.challenge().accept().grant()
            server.say(Drain(10_000))
            forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:0", "dial": "db:5432"})
            self.change(world, mapping(), forwards=(forward,))
            openers = world.links.forwards.openers
            self.assertEqual((openers.serving, openers.refusing), (False, False))

    def test_late_answer_for_another_port(self) -> None:
        """The answer for the port that a mapping had before says nothing about the one that it asks for now."""
        for refused in (False, True):
            world = World(mapping(remote=1001))
            server = world.connected()
            (asked,) = [m for m in server.heard() if isinstance(m, Register)]
            self.change(world, mapping(remote=1002))
            late = MappingResult("web", "ok", 1001)
            if refused:
                late = MappingResult("web", "fail", None, "port_in_use", "another program has it", shut="late")
            server.say(RegisterResp(asked.id, "ok", (late,)))
            status = world.link.published.statuses["web"]
            self.assertEqual((status.standing, status.address, status.reason), (Standing.PENDING, None, ""))
            self.assertIsNone(status.shut)
            server.say(RegisterResp(asked.id + 1, "ok"))
            server.say(RegisterResp(asked.id + 2, "ok", (MappingResult("web", "ok", 1002),)))
            self.assertEqual((status.standing, str(status.address)), (Standing.OPEN, "tunnel.example.com:1002"))

    def test_closing_twice(self) -> None:
        """A mapping that is added back and removed again before the server has answered: its port is closed when the
        server has confirmed the last removal, and not the first one."""
        world, server = self.begin(mapping())
        closing = world.link.published.closing
        self.change(world)
        self.change(world, mapping())
        self.change(world)
        first, again, last = server.heard()
        server.say(RegisterResp(first.id, "ok"))
        self.assertEqual(closing, {"web"})
        server.say(RegisterResp(again.id, "ok", (MappingResult("web", "ok", 8080),)))
        self.assertEqual(closing, {"web"})
        server.say(RegisterResp(last.id, "ok"))
        self.assertEqual(closing, set())

    def test_late_answer(self) -> None:
        """An answer on what is gone by now changes nothing, and breaks nothing."""
        world = World(mapping("goes"), mapping("stays", remote=1001))
        server = world.connected()
        (asked,) = [m for m in server.heard() if isinstance(m, Register)]
        self.change(world, mapping("stays", remote=1001))
        results = tuple(MappingResult(m.name, "ok", m.remote_port) for m in asked.mappings)
        server.say(RegisterResp(asked.id, "ok", results), RegisterResp(asked.id + 1, "ok"))
        self.assertEqual(set(world.link.published.statuses), {"stays"})
        assert world.link.session is not None
        self.assertTrue(world.link.session.connected)
