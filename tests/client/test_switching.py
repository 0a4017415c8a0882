"""A mapping that an operator has taken offline at the client: what its server hears, and what a server that does not
listen gets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gotunnel.client.linkview import LinkView
from gotunnel.client.switching import switch_mapping
from gotunnel.core.view import SWITCHED_OFF
from gotunnel.core.view import MappingState as Shown
from gotunnel.wire.messages import MappingState, Register
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
