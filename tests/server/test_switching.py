"""A mapping that an operator has switched off at the server: who is let in, and how long that holds."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from gotunnel.core.outcome import Outcome
from gotunnel.core.view import SWITCHED_OFF, SWITCHED_OFF_THERE
from gotunnel.core.view import MappingState as Shown
from gotunnel.errors import DialFailed, PortUnavailable
from gotunnel.server.crossing import shared_mapping, sharing_peer
from gotunnel.server.keeping import GRACE
from gotunnel.server.published import PAUSE, STRETCH
from gotunnel.server.switching import NotOne, switch_mapping
from gotunnel.wire.greeting import FORWARD_STATE, MAPPING_STATE
from gotunnel.wire.messages import (
    MappingRequest,
    MappingResult,
    MappingState,
    Message,
    Register,
    RegisterResp,
    Unregister,
)
from tests.server.test_groups import GroupTestCase
from tests.server.world import TOKEN, Client, ServerTestCase, World, identity

WEB = MappingRequest("web", 8080)


def switch(it: World, name: str = "web", *, off: bool, client: str | None = None) -> Deferred[str]:
    """Switch a mapping and let its port close."""
    done = Deferred.fromCoroutine(switch_mapping(it.hub, client, name, off=off))
    for _ in range(4):
        it.clock.advance(0)
    return done


def flat(client: Client) -> list[MappingResult | MappingState]:
    """Return what a client was told of mapping m0, one word after the other."""
    found: list[MappingResult | MappingState] = []
    for message in client.heard():
        if isinstance(message, MappingState):
            found.append(message)
        elif isinstance(message, RegisterResp):
            found += message.results
    return [each for each in found if each.name == "m0"]


class SwitchingTests(ServerTestCase):
    """One client, mostly with one mapping."""

    def setUp(self) -> None:
        self.it = self.world()
        self.client = self.it.login()

    def ports(self) -> list[int]:
        """Return the open ports."""
        return sorted(port.port for port in self.it.relay.ports)

    def turn(self) -> None:
        """Let ports open and close."""
        for _ in range(4):
            self.it.clock.advance(0)

    def shown(self) -> list[tuple[str, str, Shown, str]]:
        """Return what the view says of the mappings."""
        from gotunnel.server.view import ServerView

        class Service:
            hub = self.it.hub
            egress, draining = None, False

        found = ServerView(Service()).mappings()  # type: ignore[arg-type]
        return [(each.client, each.name, each.state, each.reason) for each in found]

    def test_off_and_on(self) -> None:
        """Who waits is reset, who streams is not touched, and nobody new gets in until it is on again."""
        port = self.client.publish(8080)
        leg = self.client.bring_leg()
        streaming, waiting = port.visit(), port.visit()
        self.assertEqual(self.successResultOf(switch(self.it, off=True)), "edge")
        self.assertEqual((self.ports(), streaming.aborted, waiting.aborted, leg.state), ([], False, True, "busy"))
        self.assertEqual(self.it.hub.outcomes, {Outcome.MAPPING_DOWN: 1})
        self.assertEqual(self.shown(), [("edge", "web", Shown.OFF, "switched off by an operator")])
        self.assertEqual(self.it.hub.ports.owner_of("0.0.0.0", 8080), ("edge", "web"), "it is kept for him")
        self.assertEqual(self.successResultOf(switch(self.it, off=False)), "edge")
        self.assertEqual(self.ports(), [8080])
        self.assertEqual([state for _, _, state, _ in self.shown()], [Shown.OPEN])

    def test_client_is_told(self) -> None:
        """A client that knows the word is told, when it happens and with each answer; another one hears nothing that it
        would take for a breach."""
        self.client = self.it.login("two", caps=(MAPPING_STATE,))
        self.client.publish(8080)
        switch(self.it, off=True)
        self.assertEqual(self.client.heard(), [MappingState("web", "down", SWITCHED_OFF)])
        self.assertEqual([result.shut for result in self.client.register(WEB)], [SWITCHED_OFF])
        switch(self.it, off=False)
        self.assertEqual(self.client.heard(), [MappingState("web", "up", "")])
        self.assertEqual([result.shut for result in self.client.register(WEB)], [None])
        old = self.it.login("old")
        old.publish(8081)
        switch(self.it, off=True, client="old")
        self.assertEqual(old.heard(), [])

    def test_told_as_it_is(self) -> None:
        """What is switched while the answer to a long request is made up is in that answer: nothing older than the last
        message is ever the last word."""
        self.client = self.it.login("two", caps=(MAPPING_STATE,))
        many = tuple(MappingRequest(f"m{number}", 9000 + number) for number in range(STRETCH + 1))
        self.client.say(Register(1, many))
        done = switch(self.it, "m0", off=True)
        for _ in range(4):
            self.it.clock.advance(PAUSE)
        self.successResultOf(done)
        last = flat(self.client)[-1]
        self.assertEqual(last.shut if isinstance(last, MappingResult) else last.reason, SWITCHED_OFF)

    def test_whatever_the_client_does(self) -> None:
        """It stays off when the client says that its target is up, asks again, comes back, or asks for another port."""
        self.client.publish(8080)
        switch(self.it, off=True)
        self.client.say(MappingState("web", "down", "gone"), MappingState("web", "up", "there"))
        self.turn()
        self.assertEqual(self.ports(), [])
        self.assertEqual(self.client.register(WEB)[0].status, "ok")
        self.client.transport.lose()
        self.client = self.it.login()
        self.client.register(WEB)
        self.assertEqual(self.ports(), [])
        (result,) = self.client.register(MappingRequest("web", 8081))
        self.turn()
        self.assertEqual((result.status, result.remote_port, self.ports()), ("ok", 8081, []))
        switch(self.it, off=False)
        self.assertEqual(self.ports(), [8081])

    def test_by_its_client(self) -> None:
        """What its client has switched off is shown as that, and the server cannot switch it on."""
        self.client.publish(8080)
        self.client.say(MappingState("web", "down", SWITCHED_OFF))
        self.turn()
        self.assertEqual(self.shown(), [("edge", "web", Shown.OFF, SWITCHED_OFF_THERE)])
        refused = self.failureResultOf(switch(self.it, off=False), NotOne)
        self.assertIn("its client edge has switched it off", str(refused.value))
        self.assertEqual(self.ports(), [])

    def test_when_it_was_gone(self) -> None:
        """It is remembered, and shown, while nobody asks for the mapping; then it can be switched on, too."""
        self.client.register(WEB, MappingRequest("ssh", 2222))
        switch(self.it, off=True)
        self.client.say(Unregister(9, ("web",)))
        self.turn()
        gone = ("edge", "web", Shown.OFF, "switched off by an operator; its client does not request it now")
        self.assertIn(gone, self.shown())
        self.client.transport.lose()
        self.it.clock.advance(GRACE + 1)
        self.turn()
        self.assertEqual((self.it.hub.peers, self.shown()), ({}, [gone]))
        self.assertEqual(self.successResultOf(switch(self.it, off=False, client="edge")), "edge")
        self.assertEqual(self.shown(), [])
        self.it.login(instance=b"two").publish(8080)
        self.assertEqual(self.ports(), [8080])

    def test_queued(self) -> None:
        """While another port of the client closes, whatever waits for that has its effect in turn: a mapping that was
        switched on is not opened anew as off, and the last word of two operators holds."""
        self.client.register(WEB, MappingRequest("other", 8090))
        for words in ((True, False), (False, True), (True, False, True)):
            switch(self.it, off=not words[0])
            self.client.heard()
            self.client.say(Unregister(1000, ("other",)))
            for off in words:
                Deferred.fromCoroutine(switch_mapping(self.it.hub, None, "web", off=off))
            self.client.say(Register(1001, (MappingRequest("web", 8081),), True))
            for _ in range(8):
                self.it.clock.advance(0)
            mapping = self.it.hub.peers["edge"].mappings["web"]
            self.assertEqual((mapping.off, bool(self.it.hub.switched_off)), (words[-1], words[-1]), words)
            self.assertEqual(self.ports(), [] if words[-1] else [8081])
            *_, answer = (message for message in self.client.heard() if isinstance(message, RegisterResp))
            self.assertEqual(answer.results[0].shut, SWITCHED_OFF if words[-1] else None)
            self.client.register(WEB, MappingRequest("other", 8090))

    def test_target_down(self) -> None:
        """Switched on while the target is down it stays closed until that is up; and the reason of each is shown."""
        self.client.publish(8080)
        switch(self.it, off=True)
        self.client.say(MappingState("web", "down", "refused"))
        self.turn()
        switch(self.it, off=False)
        self.assertEqual((self.ports(), self.shown()), ([], [("edge", "web", Shown.DOWN, "refused")]))
        self.client.say(MappingState("web", "down", "timeout"))
        self.turn()
        self.assertEqual(self.shown(), [("edge", "web", Shown.DOWN, "timeout")])
        self.client.say(MappingState("web", "up", ""))
        self.turn()
        self.assertEqual(self.ports(), [8080])

    def test_taken_in_between(self) -> None:
        """When another program has the port by then the operator is told, and it stays off."""
        self.client.publish(8080)
        switch(self.it, off=True)
        self.it.relay.taken = {8080}
        self.failureResultOf(switch(self.it, off=False), PortUnavailable)
        self.assertEqual([state for _, _, state, _ in self.shown()], [Shown.OFF])
        self.it.relay.taken = set()
        self.successResultOf(switch(self.it, off=False))
        self.assertEqual(self.ports(), [8080])

    def test_whose(self) -> None:
        """A name that several clients have needs the client's; one that nobody has cannot be switched, so that the list
        of what is off is no longer than what was there."""
        self.client.publish(8080)
        self.it.login("other").publish(8081)
        for client, name in ((None, "web"), (None, "none"), ("nobody", "web")):
            self.failureResultOf(switch(self.it, name, off=True, client=client), NotOne)
        self.assertEqual(self.it.hub.switched_off, set())
        self.assertEqual(self.successResultOf(switch(self.it, off=True, client="other")), "other")
        self.assertEqual(self.ports(), [8080])

    def test_without_a_port(self) -> None:
        """What only other clients reach is closed to them."""
        self.client.register(MappingRequest("web", 0, public=False, clients=("laptop",)))
        self.assertEqual(shared_mapping(self.it.hub, "laptop", "edge", "web").name, "edge")
        switch(self.it, off=True)
        refused = self.assertRaises(DialFailed, shared_mapping, self.it.hub, "laptop", "edge", "web")
        self.assertEqual((refused.code, "switched off" in str(refused)), ("mapping_down", True))
        switch(self.it, off=False)
        self.assertEqual(shared_mapping(self.it.hub, "laptop", "edge", "web").name, "edge")

    def test_without_a_port_by_name_alone(self) -> None:
        """Who names no client is led to one where it is on, and hears it where there is none."""
        shared = MappingRequest("web", 0, public=False, clients=("laptop",))
        self.client.register(shared)
        self.it.login("other").register(shared)

        def led() -> str:
            return sharing_peer(self.it.hub, "laptop", "web", lambda name: True).name

        for off, other in (("edge", "other"), ("other", "edge")):
            switch(self.it, off=True, client=off)
            self.assertEqual(led(), other)
            switch(self.it, off=False, client=off)
        for each in ("edge", "other"):
            switch(self.it, off=True, client=each)
        refused = self.assertRaises(DialFailed, led)
        self.assertEqual((refused.code, "switched off" in str(refused)), ("mapping_down", True))


class GroupSwitchingTests(GroupTestCase):
    """A member of a group."""

    def test_members(self) -> None:
        """The others serve on, and the port closes with the last of them; who joins and is off does not open it."""
        port = self.both()
        one, two = self.one.bring_leg(), self.two.bring_leg()
        switch(self.it, "web", off=True, client="one")
        port.visit()
        self.assertEqual((one.state, two.state), ("idle", "busy"))
        switch(self.it, "other", off=True)
        self.assertEqual(self.it.relay.ports, [])
        self.one.say(Unregister(99, ("web",)))
        self.turn()
        self.one.heard()
        self.assertEqual(self.join(self.one), "ok")
        self.turn()
        self.assertEqual(self.it.relay.ports, [])
        switch(self.it, "web", off=False)
        self.it.relay.port(8080).visit()
        self.assertEqual(one.state, "busy")

    def test_in_vain(self) -> None:
        """What waits behind a command that fails, since another program has the port, finds the mapping off: a request
        with other terms does not open it."""
        self.both()
        switch(self.it, "other", off=True)
        switch(self.it, "web", off=True)
        turn = self.it.hub.groups.turn
        turn.acquire()
        done = Deferred.fromCoroutine(switch_mapping(self.it.hub, "one", "web", off=False))
        self.one.say(Register(1000, (MappingRequest("web", 8081),), True))
        self.it.relay.taken = {8080}
        turn.release()
        self.turn()
        self.failureResultOf(done, PortUnavailable)
        (web,) = self.it.hub.peers["one"].mappings.values()
        self.assertEqual((web.port, web.off, self.it.relay.ports), (8081, True, []))
        self.assertIn(("one", "web"), self.it.hub.switched_off)


class ForwardNewsTests(ServerTestCase):
    """Clients whose forwards may lead to a mapping hear that it is off, each once."""

    def setUp(self) -> None:
        self.it = self.world(allow_dial=("mapping:home/web",))
        self.home = self.it.login("home")
        self.one, self.two, self.old = (
            self.it.login(name, caps=caps)
            for name, caps in (("one", (FORWARD_STATE,)), ("two", (FORWARD_STATE,)), ("old", (MAPPING_STATE,)))
        )
        self.off = MappingState("web", "down", SWITCHED_OFF, "home")
        self.on = MappingState("web", "up", "", "home")
        self.home.publish(8080, clients=("one", "old"))

    def heard(self) -> list[list[Message]]:
        """Return what each has heard since."""
        return [client.heard() for client in (self.home, self.one, self.two, self.old)]

    def test_told(self) -> None:
        """When it happens, and no other than who may reach it and knows the word; a second act says nothing."""
        for _ in range(2):
            switch(self.it, off=True)
        self.assertEqual(self.heard(), [[], [self.off], [], []])
        for _ in range(2):
            switch(self.it, off=False)
        self.assertEqual(self.heard(), [[], [self.on], [], []])

    def test_not_allowed(self) -> None:
        """A mapping that the server's rules do not let one reach is none of his."""
        self.home.register(MappingRequest("other", 8081, clients=("*",)))
        switch(self.it, "other", off=True)
        self.assertEqual(self.heard(), [[], [], [], []])

    def test_who_comes_later(self) -> None:
        """One that connects is told what is off then; and that it is on again, whatever has changed meanwhile."""
        self.one.transport.lose()
        switch(self.it, off=True)
        later = self.it.login("one", b"another", caps=(FORWARD_STATE,))
        self.assertEqual([message for message in later.behind if isinstance(message, MappingState)], [self.off])
        self.home.register(MappingRequest("web", 8080))  # nobody may reach it any more
        switch(self.it, off=False)
        self.assertEqual(later.heard(), [self.on])

    def test_brought_while_off(self) -> None:
        """A mapping that its client brings while it is off is told then; bringing it again and again tells nobody
        twice."""
        switch(self.it, off=True)
        self.assertEqual(self.one.heard(), [self.off])
        for clients in ((), ("*",), (), ("*",)):
            self.home.register(MappingRequest("web", 8081, clients=clients))
            self.home.register(MappingRequest("web", 8080, clients=clients))
        self.assertEqual([self.one.heard(), self.two.heard()], [[], [self.off]])

    def test_may_reach_it_now(self) -> None:
        """A client that may reach the mapping only since it is off is told then, once: its rights have changed, or the
        mapping's `clients`."""
        names = ("home", "one", "two", "old")
        denied = [identity(name, TOKEN, allow_dial=[] if name == "one" else ["mapping:*/*"]) for name in names]
        self.it.clients_are(*denied)
        switch(self.it, off=True)
        self.assertEqual(self.heard(), [[], [], [], []])
        allowed = [identity(name, TOKEN, allow_dial=["mapping:*/*"]) for name in names]
        for _ in range(2):
            self.it.clients_are(*allowed)
        self.assertEqual(self.heard(), [[], [self.off], [], []])
        for _ in range(2):
            self.home.register(MappingRequest("web", 8080, clients=("*",)))
        self.assertEqual(self.heard(), [[], [], [self.off], []])
        switch(self.it, off=False)
        self.assertEqual(self.heard(), [[], [self.on], [self.on], []])

    def test_two_at_once(self) -> None:
        """Of two operators whose words take effect in one go the last one holds, and that is what is told last."""
        self.home.register(MappingRequest("web", 8080, clients=("one",)), MappingRequest("other", 8090))
        for words in ((True, False), (False, True)):
            switch(self.it, off=not words[0])
            told = [self.on if words[0] else self.off, *self.one.heard()]
            self.home.say(Unregister(1000, ("other",)))
            for off in words:
                Deferred.fromCoroutine(switch_mapping(self.it.hub, None, "web", off=off))
            for _ in range(8):
                self.it.clock.advance(0)
            told += self.one.heard()
            self.home.heard()
            self.assertEqual(told[-1], self.off if words[-1] else self.on, words)
            self.home.register(MappingRequest("web", 8080, clients=("one",)), MappingRequest("other", 8090))

    def test_gone(self) -> None:
        """Nothing is said to a session that has ended, and nothing is kept of it."""
        switch(self.it, off=True)
        self.one.transport.lose()
        self.assertEqual(self.one.heard(), [self.off])
        switch(self.it, off=False)
        self.assertEqual(self.one.heard(), [])
