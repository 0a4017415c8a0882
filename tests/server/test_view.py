"""What an operator sees of a server, and whom he can send away."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.logins import Accepted
from gotunnel.core.outcome import Outcome
from gotunnel.core.rights import Rights
from gotunnel.core.view import MappingState, SessionState, plain
from gotunnel.server.credentials import Credentials
from gotunnel.server.guests import Guest
from gotunnel.server.kicking import kick_client
from gotunnel.server.view import ServerView
from gotunnel.wire.messages import Error, MappingRequest, Nodes, Ping, Pong, RegisterResp
from gotunnel.wire.messages import MappingState as State
from tests.server.world import OTHER_TOKEN, ServerTestCase, World, identity


def view_of(world: World, **service: Any) -> ServerView:
    """Return the view of a server without sockets."""
    made = {
        "hub": world.hub, "began": 0.0, "draining": False, "accepting": True, "address": "here", "egress": None,
        "listeners": (), **service,
    }  # fmt: skip
    return ServerView(SimpleNamespace(**made))  # type: ignore[arg-type]


class ViewTests(ServerTestCase):
    """One client with one mapping."""

    def setUp(self) -> None:
        self.it = self.world()
        self.view = view_of(self.it)
        self.client = self.it.login()
        self.port = self.client.publish(8080)

    def test_session(self) -> None:
        """A session shows who it is, how old, how many legs and visitors."""
        self.client.bring_leg()
        self.client.bring_leg()
        self.port.visit()
        self.it.clock.advance(7)
        (found,) = self.view.sessions()
        self.assertEqual((found.name, found.state, found.agent), ("edge", SessionState.CONNECTED, "test"))
        self.assertEqual((found.age, found.mappings, found.streams, found.pending), (7.0, 1, 1, 0))
        self.assertEqual((found.legs.idle, found.legs.busy), (1, 1))

    def test_pong_age(self) -> None:
        """Its age goes by the pong: other messages, however many, do not make a session fresh."""
        self.it.clock.advance(10)
        (ping,) = [m for m in self.client.heard() if isinstance(m, Ping)]
        self.client.say(Pong(ping.n))
        self.it.clock.advance(4)
        self.client.say(Ping(1))
        (found,) = self.view.sessions()
        self.assertEqual((found.pong_age, found.round_trip), (4.0, 0.0))

    def test_away(self) -> None:
        """A lost client is away, and so are its mappings, until the time of grace is over."""
        self.client.transport.lose()
        (found,) = self.view.sessions()
        self.assertEqual((found.state, found.age), (SessionState.AWAY, 0.0))
        self.assertIn("30 s", found.reason)
        (mapping,) = self.view.mappings()
        self.assertEqual(mapping.state, MappingState.AWAY)
        self.assertFalse(self.view.connected("edge"))

    def test_mapping(self) -> None:
        """A mapping counts its visitors and their bytes, and says why it is down."""
        leg = self.client.bring_leg()
        self.port.visit()
        leg.finish()
        self.port.visit()
        (found,) = self.view.mappings()
        self.assertEqual((found.streams, found.ended, found.up, found.down), (1, 1, 3, 5))
        self.client.say(State("web", "down", "it is on fire"))
        self.it.clock.advance(0)
        (found,) = self.view.mappings()
        self.assertEqual((found.state, found.reason), (MappingState.DOWN, "it is on fire"))

    def test_nodes(self) -> None:
        """A session shows the nodes that it leads to and those that are refused, by the rights of now; while the client
        is away, as long as visitors may wait for it; and nothing where nobody announces any."""
        shown = lambda: [(each.nodes, each.refused_nodes) for each in self.view.sessions()]  # noqa: E731
        self.assertEqual(shown(), [([], {})])
        why = "its allow_nodes on the server does not name it"
        self.client.say(Nodes(9, ("n-1", "N-2", "10.0.0.7", "n-1")))
        self.assertEqual(shown(), [([], dict.fromkeys(("n-1", "N-2", "10.0.0.7"), why))])
        self.allow("n-*")
        self.assertEqual(shown(), [(["n-1", "N-2"], {"10.0.0.7": why})])
        self.client.transport.lose()
        self.assertEqual(shown(), [(["n-1", "N-2"], {"10.0.0.7": why})])
        self.client = self.it.login()
        self.client.publish(8080)
        self.assertEqual(shown(), [([], {})], "it has come back without any")

    def test_answers_about_nodes(self) -> None:
        """What is shown is what the client is told."""
        self.allow("n-*")
        self.client.say(Nodes(9, ("n-1", "m-1")))
        (answer,) = [m for m in self.client.heard() if isinstance(m, RegisterResp)]
        (found,) = self.view.sessions()
        told = {result.name: (result.status, result.reason or "") for result in answer.results}
        self.assertEqual(told, {"n-1": ("ok", ""), "m-1": ("fail", found.refused_nodes["m-1"])})

    def allow(self, *nodes: str) -> None:
        """Let clients announce these nodes from now on."""
        config = self.it.config.model_copy(update={"allow_nodes": nodes})
        self.it.hub.use_config(config, Credentials(config, frozenset()))
        self.it.hub.identities_changed(self.it.hub.credentials.table(()))

    def test_streams(self) -> None:
        """A visitor on a leg and one who waits are both listed, with the bytes of the first."""
        leg = self.client.bring_leg()
        self.port.visit("198.51.100.7:1")
        leg.carried = (11, 22)
        self.port.visit("198.51.100.7:2")
        served, waiting = self.view.streams
        self.assertEqual((served.visitor, served.state, served.up, served.down), ("198.51.100.7:1", "open", 11, 22))
        self.assertEqual((waiting.visitor, waiting.state, waiting.mapping), ("198.51.100.7:2", "waiting", "web"))
        self.assertEqual(self.view.carried(), (11, 22))

    def test_bytes_never_fall(self) -> None:
        """When a visitor is over his bytes move from those of the living to those of the past."""
        leg = self.client.bring_leg()
        self.port.visit()
        leg.carried = (3, 5)
        before = self.view.carried()
        leg.carried = (0, 0)
        leg.finish()
        self.assertEqual((before, self.view.carried()), ((3, 5), (3, 5)))

    def test_times(self) -> None:
        """How long the target took to answer is told from the leg, and the first byte from the arrival."""
        self.port.visit()
        self.it.clock.advance(1)
        leg = self.client.bring_leg()
        self.it.clock.advance(2)
        leg.owner.leg_answered(leg)
        self.it.clock.advance(3)
        leg.owner.leg_first_byte(leg)
        usage = self.view.usage
        self.assertEqual((usage.answer.total, usage.first_byte.total), (2.0, 6.0))

    def test_ready(self) -> None:
        """Not while it drains, not without a listener; and for one client only while its heart beats."""
        self.assertTrue(all(each.ok for each in self.view.ready("edge")))
        self.assertFalse(all(each.ok for each in self.view.ready("nobody")))
        self.assertFalse(all(each.ok for each in view_of(self.it, draining=True).ready()))
        self.assertFalse(all(each.ok for each in view_of(self.it, accepting=False).ready()))
        for _ in range(4):
            self.it.clock.advance(9)
            self.client.say(Ping(1))  # it speaks, and never answers
        (_, finding) = self.view.ready("edge")
        self.assertFalse(finding.ok)
        self.assertIn("no pong", finding.reason)

    def test_alive(self) -> None:
        """A session without a pong for far too long, which was not cut, means that our own heart stands still."""
        (finding,) = self.view.alive()
        self.assertTrue(finding.ok)
        for _ in range(8):
            self.it.clock.advance(9)
            self.client.say(Ping(1))
        (finding,) = self.view.alive()
        self.assertFalse(finding.ok)
        self.assertIn("edge", finding.reason)

    def test_expected(self) -> None:
        """Who has an identity is expected; who comes with the shared token has no label of his own."""
        self.it.clients_are(identity("known", OTHER_TOKEN), identity("off", OTHER_TOKEN, disabled=True))
        self.assertEqual(dict(self.view.expected()), {"known": False})
        self.it.login("known", token=OTHER_TOKEN)
        self.assertEqual(dict(self.view.expected()), {"known": True})
        found = {each.client: (each.state, each.connected, each.source) for each in self.view.rights()}
        self.assertEqual(found["known"], ("active", True, "the clients file"))
        self.assertEqual(found["edge"], ("active", True, "the shared token"))
        self.assertEqual(found["off"][0], "it is disabled")

    def test_rights_of_a_guest(self) -> None:
        """Who was let in by an authenticator is said to be, and the groups of each are told."""
        guest = Guest(bytes(32), Accepted(), AuthenticatorConfig.model_construct(plugin="htpasswd"))
        self.it.hub.guests.add("edge", guest)
        self.it.clients_are(identity("known", OTHER_TOKEN, allow_groups=("web", "api*")))
        found = {each.client: each for each in self.view.rights()}
        self.assertEqual(found["edge"].source, "the authenticator htpasswd")
        self.assertEqual((found["known"].allow_groups, found["edge"].allow_groups), (["web", "api*"], []))

    def test_rights(self) -> None:
        """All that a client may do is told, and where it is written."""
        rights = {"allow_nodes": ["n"], "allow_groups": ["api*"], "allow_dial": ["10.0.0.1:1"]}
        self.it.clients_are(identity("other", OTHER_TOKEN, allow_udp_ports=["53"], **rights))
        found, shared = self.view.rights()
        told = plain(found)
        self.assertEqual({key: told[key] for key in rights}, rights)
        self.assertEqual(found.allow_udp_ports, "53")
        self.assertEqual((found.client, found.connected, shared.client), ("other", False, "edge"))
        names = {field.name for field in fields(Rights) if field.name.startswith("allow_")}
        self.assertEqual(names - set(told), set())

    def test_refused_logins(self) -> None:
        """A wrong token is counted, by the code of the refusal."""
        transport = self.it.connect()
        self.it.prove(transport, "other", token=OTHER_TOKEN)
        self.assertEqual(self.view.usage.refused["auth_failed"], 1)


class KickTests(ServerTestCase):
    """Sending away."""

    def setUp(self) -> None:
        self.it = self.world()
        self.view = view_of(self.it)
        self.client = self.it.login()
        self.port = self.client.publish(8080)

    def test_client(self) -> None:
        """Its session ends with a reason and its visitors are reset; its port stays, and it may come back."""
        leg = self.client.bring_leg()
        self.port.visit()
        self.assertEqual(kick_client(self.it.hub, "edge"), 1)
        (error,) = [m for m in self.client.heard() if isinstance(m, Error)]
        self.assertEqual(error.code, "going_away")
        self.assertTrue(leg.closed)
        self.it.clock.advance(3)
        self.assertTrue(self.port.open)
        self.it.login()
        self.assertIsNone(kick_client(self.it.hub, "nobody"))

    def test_stream(self) -> None:
        """One visitor is reset, by the id of the log, and the others go on; one who waits is let go, too."""
        legs = [self.client.bring_leg(), self.client.bring_leg()]
        for number in (1, 2, 3):
            self.port.visit(f"198.51.100.7:{number}")
        found = list(self.view.streams)
        self.assertTrue(self.view.streams.kick(found[0].conn))
        self.assertEqual(sorted(leg.resets for leg in legs), [[], ["kicked"]])
        waiting = next(each for each in found if each.state == "waiting")
        self.assertTrue(self.view.streams.kick(waiting.conn))
        self.assertEqual(self.it.hub.outcomes[Outcome.STOPPED], 1)
        self.assertFalse(self.view.streams.kick("no-such"))


class IdentityOfCountsTests(ServerTestCase):
    """Opened less closed is what is here, whatever happens."""

    def test_walk(self) -> None:
        """After each of a thousand random steps the count is that of the visitors who really are there."""
        chance = random.Random(8)
        it = self.world(limits={"visitors": 12, "pending": 3})
        view, client = view_of(it), it.login()
        port = client.publish(8080)
        client.register(MappingRequest("web", 8080), MappingRequest("two", 8081))
        seen: Counter[str] = Counter()
        legs: list[Any] = []
        locals_: list[Any] = []
        for _ in range(1000):
            step = chance.choice(("visit", "visit", "leg", "finish", "lose", "leave", "wait", "kick", "state"))
            seen[step] += 1
            legs = [leg for leg in legs if leg.state != "closed"]
            busy = [leg for leg in legs if leg.state == "busy"]
            if step == "visit" and port.open:
                locals_.append(port.visit())
            elif step == "leg" and len(legs) < 10:
                legs.append(client.bring_leg())
            elif step == "finish" and busy:
                chance.choice(busy).finish(chance.choice(list(Outcome)))
            elif step == "lose" and legs:
                chance.choice(legs).lose()
            elif step == "leave" and locals_:
                locals_.pop(chance.randrange(len(locals_))).on_gone()
            elif step == "wait":
                it.clock.advance(chance.choice((0.1, 1.0)))
                client.say(*[Pong(m.n) for m in client.heard() if isinstance(m, Ping)])
            elif step == "kick":
                streams = [each for each in view.streams if each.state == "waiting"]
                if streams:
                    view.streams.kick(chance.choice(streams).conn)
            elif step == "state":
                client.say(State("web", chance.choice(("up", "down")), "x"))
                it.clock.advance(0)
                it.clock.advance(0)
                if it.relay.ports:
                    port = next((p for p in it.relay.ports if p.port == 8080), port)
            here = len(list(view.streams))
            usage = view.usage
            self.assertEqual(usage.live, here, step)
            self.assertEqual(usage.opened - sum(usage.outcomes.values()), here, step)
        self.assertGreater(view.usage.opened, 50)
        self.assertGreater(len(view.usage.outcomes), 4)
