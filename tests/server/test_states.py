"""A mapping whose target is down: who is turned away, what goes on, and what the server remembers of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from gotunnel.core.view import MappingState as Shown
from gotunnel.server.published import PAUSE
from gotunnel.server.targets import REOPEN
from gotunnel.wire.greeting import MAPPING_STATE
from gotunnel.wire.messages import Drain, Error, MappingRequest, MappingState, Register
from tests.server.test_view import view_of
from tests.server.world import Client, ServerTestCase

WEB = MappingRequest("web", 8080)


class StateTests(ServerTestCase):
    """One client, mostly with one mapping."""

    def setUp(self) -> None:
        """A server with a client."""
        self.it = self.world()
        self.client = self.it.login()

    def ports(self) -> list[int]:
        """Return the open ports."""
        return sorted(port.port for port in self.it.relay.ports)

    def say(self, state: str, client: Client | None = None, name: str = "web") -> None:
        """Tell a state and let the port close."""
        (client or self.client).say(MappingState(name, state, "because"))  # type: ignore[arg-type]
        self.it.clock.advance(0)

    def test_waiting_are_turned_away(self) -> None:
        """Visitors that wait for a leg are reset and counted; those of another mapping wait on."""
        web, ssh = self.client.register(WEB, MappingRequest("ssh", 2222))
        locals_ = [self.it.relay.port(8080).visit() for _ in range(3)]
        other = self.it.relay.port(2222).visit()
        self.say("down")
        self.assertEqual(([each.aborted for each in locals_], other.aborted), ([True] * 3, False))
        self.assertEqual(self.it.hub.outcomes, {Outcome.MAPPING_DOWN: 3})
        self.assertEqual((self.ports(), self.it.hub.live, web.status, ssh.status), ([2222], 1, "ok", "ok"))

    def test_streaming_goes_on(self) -> None:
        """A visitor on a leg is not touched, and his leg is good for the next one."""
        port = self.client.publish(8080)
        leg = self.client.bring_leg()
        local = port.visit()
        self.say("down")
        self.assertEqual((local.aborted, leg.resets, leg.state), (False, [], "busy"))
        leg.finish()
        self.say("up")
        self.it.relay.port(8080).visit()
        self.assertEqual(leg.opens, 2)

    def test_one_of_several(self) -> None:
        """The others stay open, and a name that is unknown means nothing."""
        self.client.register(WEB, MappingRequest("ssh", 2222))
        self.say("down", name="ssh")
        self.say("down", name="none")
        self.assertEqual(self.ports(), [8080])

    def test_takeover(self) -> None:
        """A successor finds it closed until it registers it, and then closed again as soon as it says so."""
        self.client.publish(8080)
        self.say("down")
        old = self.it.session(self.client)
        successor = self.it.login()
        self.assertEqual(self.ports(), [])
        successor.say(Register(1, (WEB,)), MappingState("web", "down", "still"))
        self.it.clock.advance(0)
        self.it.clock.advance(0)
        self.assertEqual(self.ports(), [])
        Deferred.fromCoroutine(self.it.hub.peers["edge"].published.set_state("web", True, "", old))
        self.assertEqual(self.ports(), [], "the session that was replaced has no say any more")
        self.say("up", successor)
        self.assertEqual(self.ports(), [8080])

    def test_registered_again_by_the_same(self) -> None:
        """One session that registers again (others were refused) does not open what it has called down."""
        self.client.publish(8080)
        self.say("down")
        listens = self.it.relay.listens
        (result,) = self.client.register(WEB)
        self.assertEqual((result.status, self.ports(), self.it.relay.listens), ("ok", [], listens))
        self.say("up")
        self.assertEqual(self.ports(), [8080])

    def test_taken_in_between(self) -> None:
        """When another program has the port by then, it is tried again until it is free, unasked."""
        self.client.publish(8080)
        self.say("down")
        self.it.relay.taken = {8080}
        self.say("up")
        self.it.clock.advance(3 * REOPEN)
        self.client.heard()
        self.assertEqual(self.ports(), [])
        self.it.relay.taken = set()
        self.it.clock.advance(REOPEN)
        self.assertEqual(self.ports(), [8080])

    def test_taken_is_told(self) -> None:
        """Meanwhile both ends say that its port cannot be had: once, not at each attempt, and no longer than that."""
        self.client = self.it.login(caps=(MAPPING_STATE,))
        self.client.publish(8081)
        self.say("down")
        self.it.relay.taken = {8081}
        self.client.heard()
        self.say("up")
        reason = "0.0.0.0:8081: another program on the server listens there"
        view = view_of(self.it)
        for _ in range(3):
            (shown,) = view.mappings()
            self.assertEqual((shown.state, shown.reason), (Shown.FAILED, reason))
            self.it.clock.advance(REOPEN)
        self.assertEqual(self.told(), [MappingState("web", "down", reason)])
        self.assertEqual(self.client.register(MappingRequest("web", 8081))[0].shut, reason)
        self.it.relay.taken = set()
        self.it.clock.advance(REOPEN)
        self.assertEqual(self.told(), [MappingState("web", "up", "")])
        self.assertEqual([each.state for each in view.mappings()], [Shown.OPEN])

    def test_down_again_is_told(self) -> None:
        """When its target goes again the client's own word on it is enough."""
        self.client = self.it.login(caps=(MAPPING_STATE,))
        self.client.publish(8081)
        self.say("down")
        self.it.relay.taken = {8081}
        self.say("up")
        self.client.heard()
        self.say("down")
        self.assertEqual(self.told(), [MappingState("web", "up", "")])
        self.assertEqual([each.state for each in view_of(self.it).mappings()], [Shown.DOWN])

    def told(self) -> list[MappingState]:
        """Return what the client was told of its mappings."""
        return [message for message in self.client.heard() if isinstance(message, MappingState)]

    def test_down_while_taken(self) -> None:
        """Down again by then, it stays closed."""
        self.client.publish(8080)
        self.say("down")
        self.it.relay.taken = {8080}
        self.say("up")
        self.say("down")
        self.it.relay.taken = set()
        self.it.clock.advance(2 * REOPEN)
        self.assertEqual(self.ports(), [])

    def test_nothing_is_left(self) -> None:
        """A client that goes for good while its port is tried again leaves no timer."""
        self.client.publish(8080)
        self.say("down")
        self.it.relay.taken = {8080}
        self.say("up")
        self.client.transport.lose()
        for _ in range(10):
            self.it.clock.advance(REOPEN)
        self.assertEqual(self.it.hub.peers, {})
        self.assertEqual(self.it.clock.getDelayedCalls(), [])
        self.assertIsNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))

    def test_stopped(self) -> None:
        """Nor does a server that stops."""
        self.client.publish(8080)
        self.say("down")
        self.it.relay.taken = {8080}
        self.say("up")
        peer = self.it.hub.peers["edge"]
        self.assertIn(peer.published._targets._reopen, [call.func for call in self.it.clock.getDelayedCalls()])
        self.successResultOf(Deferred.fromCoroutine(peer.stop()))
        self.assertNotIn(peer.published._targets._reopen, [call.func for call in self.it.clock.getDelayedCalls()])

    def test_rights(self) -> None:
        """Rights are checked when it opens again."""
        self.client.publish(8080)
        self.say("down")
        rights = self.it.hub.peers["edge"].rights
        object.__setattr__(rights, "allow_ports", type(rights.allow_ports).parse(["9000"]))
        self.say("up")
        self.assertEqual(self.ports(), [])

    def test_all_at_once(self) -> None:
        """All targets of a client can go down in one breath, behind its registers too; too many states are cut off."""
        names = [f"m{number}" for number in range(120)]
        requests = tuple(MappingRequest(name, 8000 + number) for number, name in enumerate(names))
        self.client.say(
            Register(1, requests[:60], True),
            *(MappingState(name, "down", "no") for name in names[:60]),
            Register(2, requests[60:]),
            *(MappingState(name, "down", "no") for name in names[60:]),
        )
        self.it.clock.pump([PAUSE] * len(names))
        self.assertEqual([m for m in self.client.heard() if isinstance(m, Error)], [])
        self.assertEqual((self.ports(), len(self.it.hub.peers["edge"].mappings)), ([], 120))
        for _ in range(20):
            self.it.clock.advance(4)  # within limits.messages
            for state in ("up", "down", "up"):
                self.client.say(*(MappingState(name, state) for name in names))
                self.it.clock.pump([PAUSE] * len(names))
        self.assertEqual(len(self.ports()), 120)
        self.assertEqual([m for m in self.client.heard() if isinstance(m, Error)], [])
        self.client.say(*(MappingState("m0", "up" if n % 2 else "down") for n in range(5000)))
        self.assertEqual([m.code for m in self.client.heard() if isinstance(m, Error)], ["limit"])

    def test_while_draining(self) -> None:
        """A client that drains can still say it."""
        self.client.publish(8080)
        self.client.say(Drain(1000))
        self.say("down")
        self.assertEqual(self.ports(), [])
