"""A mapping that an operator has taken offline at the client: what its server hears, and what a server that does not
listen gets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.client.linkview import LinkView
from gotunnel.client.switching import switch_mapping
from gotunnel.config.difference import difference
from gotunnel.core.view import SWITCHED_OFF, SWITCHED_OFF_AT_SERVER
from gotunnel.core.view import MappingState as Shown
from gotunnel.wire.messages import MappingResult, MappingState, Register, RegisterResp
from tests.client.world import ClientTestCase, World, mapping


class SwitchingTests(ClientTestCase):
    """One link."""

    def setUp(self) -> None:
        self.it = World(mapping("web"), mapping("ssh", 22, 2222))
        config = SimpleNamespace(mappings=(mapping("web"), mapping("ssh", 22, 2222)))
        self.service: Any = SimpleNamespace(config=config, links=self.it.links)

    def shown(self) -> dict[str, tuple[Shown, str]]:
        """Return what the view says."""
        views = LinkView(self.it.link, self.it.clock, "edge").mappings()
        return {each.name: (each.state, each.reason) for each in views}

    def test_server_is_told(self) -> None:
        """At once, and by each new session behind its register; a second word of the same says nothing."""
        server = self.it.connected()
        server.grant()
        self.assertTrue(switch_mapping(self.service, "web", off=True))
        self.assertTrue(switch_mapping(self.service, "web", off=True))
        self.assertEqual(server.heard(), [MappingState("web", "down", SWITCHED_OFF)])
        self.assertEqual(self.shown(), {"web": (Shown.OFF, SWITCHED_OFF), "ssh": (Shown.OPEN, "")})
        server.transport.lose()
        self.assertEqual(self.shown()["web"], (Shown.OFF, SWITCHED_OFF))
        self.it.run_until(lambda: len(self.it.path.attempts) > 1)
        server = self.it.connected()
        register, state = server.heard()
        self.assertIsInstance(register, Register)
        self.assertEqual(state, MappingState("web", "down", SWITCHED_OFF))
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        server.say(RegisterResp(register.id, "ok", (MappingResult("web", "ok", 8080),)))
        lines = [formatEvent(event) for event in log]
        said = "registered: tunnel.example.com:8080 opens when an operator switches it on again here"
        self.assertTrue(any(said in line for line in lines), lines)  # and not when its target is up: it is
        switch_mapping(self.service, "web", off=False)
        self.assertEqual(server.heard(), [MappingState("web", "up", "switched on by an operator")])
        self.assertFalse(switch_mapping(self.service, "none", off=True))

    def test_server_does_not_listen(self) -> None:
        """A visitor who comes all the same is refused and no target is dialled; those who stream go on."""
        server = self.it.connected()
        server.grant()
        streaming, leg, other = server.legs(3)
        streaming.receive_open(server.open_body(streaming))
        switch_mapping(self.service, "web", off=True)
        dialled = len(self.it.relay.dials)
        leg.receive_open(server.open_body(leg))
        self.assertEqual((leg.refused, len(self.it.relay.dials)), (["refused"], dialled))
        other.receive_open(server.open_body(other, "ssh"))
        self.assertEqual(len(self.it.relay.dials), dialled + 1)
        self.assertEqual(streaming.resets, [])


class AtTheServerTests(ClientTestCase):
    """What an operator does at the server is seen at the client."""

    def setUp(self) -> None:
        self.it = World(mapping("web"), mapping("ssh", 22, 2222))
        self.server = self.it.connected()
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    shown = SwitchingTests.shown

    def lines(self) -> list[str]:
        """Return what the log says of it."""
        said = map(formatEvent, self.log)
        return [line for line in said if "the server turns" in line or "the server accepts" in line]

    def test_said(self) -> None:
        """That is said in the hello, since an older client would take the message for a breach; off, and on again, is
        shown and logged once each."""
        self.assertEqual(self.server.handshake.hello.caps, ("mapping_state", "forward_state", "udp"))
        self.server.grant()
        for _ in range(2):
            self.server.say(MappingState("web", "down", SWITCHED_OFF))
        self.assertEqual(self.shown(), {"web": (Shown.OFF, SWITCHED_OFF_AT_SERVER), "ssh": (Shown.OPEN, "")})
        for _ in range(2):
            self.server.say(MappingState("web", "up", ""))
        self.assertEqual(self.shown()["web"], (Shown.OPEN, ""))
        self.assertEqual(self.lines(), [
            "mapping web: the server turns visitors away: switched off by an operator; gotunnel status there shows it",
            "mapping web: the server accepts visitors again",
        ])  # fmt: skip

    def test_answer(self) -> None:
        """The answer to a register says it, too, and the next one without it takes it back."""
        (register,) = [message for message in self.server.heard() if isinstance(message, Register)]
        ok = MappingResult("ssh", "ok", 2222)
        self.server.say(RegisterResp(register.id, "ok", (MappingResult("web", "ok", 8080, shut=SWITCHED_OFF), ok)))
        self.assertEqual([state for state, _ in self.shown().values()], [Shown.OFF, Shown.OPEN])
        self.it.link.session.register()  # type: ignore[union-attr]
        self.server.grant()
        self.assertEqual([state for state, _ in self.shown().values()], [Shown.OPEN, Shown.OPEN])

    def test_another_reason(self) -> None:
        """A port that the server cannot have again is no operator's doing, and not ready; whatever it says is made
        harmless."""
        self.server.grant()
        self.server.say(MappingState("web", "down", "0.0.0.0:8080: taken\n\x1b[2J"), MappingState("none", "down", "x"))
        self.assertEqual(self.shown()["web"], (Shown.FAILED, "0.0.0.0:8080: taken\\n\\x1b[2J"))
        self.assertEqual(len(self.lines()), 1)

    def test_new_session(self) -> None:
        """The next session knows nothing of it but what its own server says."""
        self.server.grant()
        self.server.say(MappingState("web", "down", SWITCHED_OFF))
        self.server.transport.lose()
        self.it.run_until(lambda: len(self.it.path.attempts) > 1)
        server = self.it.connected()
        self.assertEqual(self.shown()["web"], (Shown.PENDING, ""))
        server.grant()
        self.assertEqual(self.shown()["web"], (Shown.OPEN, ""))

    def test_for_ever(self) -> None:
        """A server that says one thing and the other does not fill the log."""
        self.server.grant()
        for _ in range(200):
            self.server.say(MappingState("web", "down", "x"), MappingState("web", "up", ""))
        self.assertLess(len(self.lines()), 30)

    def test_over_a_reload(self) -> None:
        """A file that says something else of another mapping does not change it."""
        self.server.grant()
        self.server.say(MappingState("web", "down", SWITCHED_OFF))
        before = self.it.links._config
        after = before.model_copy(update={"mappings": (*before.mappings, mapping("new", 23, 2323))})
        self.successResultOf(Deferred.fromCoroutine(self.it.links.apply(difference("client", before, after))))
        self.assertEqual(self.shown()["web"], (Shown.OFF, SWITCHED_OFF_AT_SERVER))

    def test_refused(self) -> None:
        """What is refused says since when, over the rounds of asking again."""
        self.server.grant("port_in_use")
        self.it.run_until(lambda: bool(self.server.grant("port_in_use")))
        views = list(LinkView(self.it.link, self.it.clock, "edge").mappings())
        self.assertEqual([each.state for each in views], [Shown.REFUSED, Shown.REFUSED])
        self.assertEqual([each.age for each in views], [self.it.clock.seconds()] * 2)
        self.assertGreater(self.it.clock.seconds(), 0.5)
