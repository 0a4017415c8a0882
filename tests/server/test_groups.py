"""Several clients that publish one port as a group: who may, what they must agree on, and who gets which visitor."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.config.model import ServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.server.keeping import GRACE
from gotunnel.server.plugins import plugins_prepared
from gotunnel.wire.messages import Drain, LegsFailed, MappingRequest, MappingState, Unregister
from tests.doubles import FakeLeg, FakePort
from tests.server.world import OTHER_TOKEN, TOKEN, Client, ServerTestCase, World, identity


class GroupTestCase(ServerTestCase):
    """A server that allows the group `api`, with two clients in it."""

    def setUp(self) -> None:
        self.observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.it = self.world(allow_groups=("api",), leg_wait=10.0)
        self.one, self.two = self.it.login("one"), self.it.login("two")

    def join(self, client: Client, port: int = 8080, name: str = "web", **more: Any) -> str:
        """Ask for a port in the group; return ok or the code."""
        (result,) = client.register(MappingRequest(name, port, **{"group": "api", **more}))
        return result.status if result.code is None else result.code

    def both(self) -> FakePort:
        """Let both clients join, under names of their own, and return the port."""
        self.assertEqual([self.join(self.one), self.join(self.two, name="other")], ["ok", "ok"])
        return self.it.relay.port(8080)

    def turn(self) -> None:
        """Let ports close."""
        for _ in range(4):
            self.it.clock.advance(0)

    def lines(self, words: str) -> list[str]:
        """Return the lines of the log with these words."""
        return [line for line in map(str, map(formatEvent, self.observer)) if words in line]

    def outcomes(self) -> dict[str, int]:
        """Return how visitors fared."""
        return {outcome.value: count for outcome, count in self.it.hub.outcomes.items()}

    def visitors(self) -> list[int]:
        """Return how many visitors both clients have."""
        return [self.it.hub.peers[name].visitors for name in ("one", "two")]


class PolicyTests(GroupTestCase):
    """An access policy and groups."""

    def deny(self, mapping: str) -> None:
        """Nobody of 198.51.100.0/24 may come to that mapping."""
        access = {"plugin": "networks", "deny": "198.51.100.0/24", "mappings": [mapping]}
        config = ServerConfig.model_validate({"token": TOKEN, "access": access})
        changed = self.it.hub.config.model_copy(update={"access": config.access})
        plugins_prepared(self.it.hub, changed, self.it.clock)()

    def test_next_one(self) -> None:
        """Whom the first member does not serve comes to another one's mapping, about which the policy is asked anew:
        that the first one's target is away opens no door."""
        self.deny("two/other")
        self.both()
        leg, other = self.one.bring_leg(), self.two.bring_leg()
        visitor = self.it.relay.port(8080).visit("198.51.100.7:5000")
        if leg.state == "idle":  # it was the other one's turn, and he is kept out there
            self.assertTrue(visitor.aborted)
            visitor = self.it.relay.port(8080).visit("198.51.100.7:5000")
        leg.finish(Outcome.REFUSED)
        self.assertEqual((visitor.aborted, other.state, self.it.hub.live), (True, "idle", 0))
        self.assertEqual(self.visitors(), [0, 0])
        allowed = self.it.relay.port(8080).visit("192.0.2.7:5000")
        self.assertFalse(allowed.aborted)

    def test_by_its_names(self) -> None:
        """The policy is asked about a visitor of a group by the names of the client and of its mapping, and so one that
        names the mapping covers it; the log calls him so, too."""
        self.deny("one/web")
        self.assertEqual(self.join(self.one), "ok")
        visitor = self.it.relay.port(8080).visit("198.51.100.7:5000")
        self.assertEqual((visitor.aborted, self.outcomes()), (True, {"denied": 1}))
        (line,) = self.lines("was reset: ")
        said = "of web of client one was reset: visitors from 198.51.100.7 are denied (server.access.deny)"
        self.assertIn(said, line)
        self.assertFalse(self.it.relay.port(8080).visit("192.0.2.7:5000").aborted)


class JoiningTests(GroupTestCase):
    """Who may be in a group, and when it ends."""

    def test_one_port(self) -> None:
        """Both clients get the port, which is opened once, and each its name of the mapping."""
        self.both()
        self.assertEqual((len(self.it.relay.ports), self.it.relay.listens), (1, 1))
        self.assertEqual(len(self.lines("open at 0.0.0.0:8080 (group api, 2 of 2 up)")), 1)

    def test_not_allowed(self) -> None:
        """A group must be allowed to each client: having the port allowed is not enough. Nothing is by default, what
        the server says is for clients without a list of their own, and that list replaces it."""
        self.assertEqual(self.join(self.one, group="other"), "acl_denied")
        self.assertEqual(self.it.relay.ports, [])
        it = self.world()
        self.assertEqual(self.join(it.login("one")), "acl_denied")
        it.clients_are(
            identity("member", OTHER_TOKEN, allow_groups=["ap*"]), identity("stranger", OTHER_TOKEN)
        )
        member, stranger = (it.login(name, token=OTHER_TOKEN) for name in ("member", "stranger"))
        answers = [self.join(client) for client in (member, stranger, it.login("two"))]
        self.assertEqual(answers, ["ok", "acl_denied", "acl_denied"])
        (result,) = stranger.register(MappingRequest("web", 8080, group="api"))
        self.assertEqual(result.reason, "the group api is not allowed (allow_groups); allowed: none")
        leg = member.bring_leg()
        it.relay.port(8080).visit()
        self.assertEqual(len(leg.opened), 1)
        self.it.clients_are(identity("three", OTHER_TOKEN, allow_groups=[]))
        self.assertEqual(self.join(self.it.login("three", token=OTHER_TOKEN)), "acl_denied")

    def test_port_rights(self) -> None:
        """Each member needs the right to the port, also to one that the first of them was given."""
        self.it.clients_are(identity("three", OTHER_TOKEN, allow_ports=[9999], allow_groups=["api"]))
        three = self.it.login("three", token=OTHER_TOKEN)
        self.assertEqual([self.join(self.one), self.join(three)], ["ok", "acl_denied"])
        self.one.register()
        self.turn()
        self.assertEqual([self.join(self.one, 0), self.join(three, 0)], ["ok", "acl_denied"])

    def test_any_port(self) -> None:
        """With `remote_port` 0 the first member gets a free port and the others the same one."""
        results = [client.register(MappingRequest("web", 0, group="api"))[0] for client in (self.one, self.two)]
        self.assertEqual([result.status for result in results], ["ok", "ok"])
        (port,) = self.it.relay.ports
        self.assertEqual({result.remote_port for result in results}, {port.port})

    def test_disagreement(self) -> None:
        """Members agree on port, address and encrypt; who does not is told on what, and what others say stays."""
        self.it.hub.plain_legs = True
        self.assertEqual(self.join(self.one), "ok")
        for more, words in (
            ({"remote_port": 8081}, "port 8080, and this one for 8081"),
            ({"remote_port": 0}, "port 8080, and this one for 0"),
            ({"bind": "127.0.0.1"}, "address 0.0.0.0, and this one for 127.0.0.1"),
            ({"encrypt": False}, "encrypt true, and this one for false"),
        ):
            asked = {"remote_port": 8080, **more}
            (result,) = self.two.register(MappingRequest("web", group="api", **asked))
            self.assertEqual((result.status, result.code), ("fail", "group_mismatch"))
            self.assertEqual(result.reason, f"the other members of the group api ask for the {words}")
        self.assertEqual(self.join(self.two, bind="0.0.0.0"), "ok")
        self.assertEqual(len(self.it.relay.ports), 1)

    def test_alone_or_together(self) -> None:
        """A port of a group is in use for a mapping without one, or of another group; and the reverse."""
        self.it = self.world(allow_groups=("api", "web"))
        self.one, self.two = self.it.login("one"), self.it.login("two")
        self.assertEqual(self.join(self.one), "ok")
        self.assertEqual([self.join(self.two, group=None), self.join(self.two, group="web")], ["port_in_use"] * 2)
        self.one.register(MappingRequest("web", 8080))
        self.assertEqual([self.join(self.two), self.join(self.one, group=None)], ["port_in_use", "ok"])

    def test_look_alike(self) -> None:
        """No name of a client or a mapping makes its port that of a group, or frees it."""
        self.assertEqual(self.join(self.one), "ok")
        for client in ("group", "api", "None"):
            alike = self.it.login(client)
            for name in ("api", "web", "group"):
                (result,) = alike.register(MappingRequest(name, 8080))
                self.assertEqual(result.code, "port_in_use")
                self.assertEqual(result.reason, "another mapping holds port 8080 on 0.0.0.0")
        self.assertIsNotNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))

    def test_without_port(self) -> None:
        """A mapping without a public port is in no group."""
        self.assertEqual(self.join(self.one, 0, public=False, clients=("two",)), "bad_request")

    def test_out_and_in(self) -> None:
        """A client that changes a mapping into one of a group, or back, has it afterwards; the port is bound anew."""
        for group in (None, "api", None, "api"):
            self.assertEqual(self.join(self.one, group=group), "ok")
            self.turn()
            self.assertEqual(len(self.it.relay.ports), 1)
        self.assertEqual((self.it.relay.listens, len(self.it.hub.groups)), (4, 1))

    def test_taken_outside(self) -> None:
        """A port that another program has is refused, and no group is left of it."""
        self.it.relay.taken.add(8080)
        self.assertEqual((self.join(self.one), len(self.it.hub.groups)), ("port_in_use", 0))
        self.it.relay.taken.clear()
        self.assertEqual(self.join(self.two), "ok")

    def test_last_one_closes(self) -> None:
        """The port stays open, and the same, while one member is left; the last one closes it, and it is free."""
        self.both()
        self.one.say(Unregister(7, ("web",)))
        self.turn()
        self.assertEqual((len(self.it.relay.ports), self.it.relay.listens), (1, 1))
        self.two.say(Unregister(7, ("other",)))
        self.turn()
        self.assertEqual((self.it.relay.ports, len(self.it.hub.groups)), ([], 0))
        self.two.heard()
        self.assertEqual(self.join(self.two, group=None), "ok")

    def test_grace(self) -> None:
        """The port outlives the last member's session by the time of grace, as any port does."""
        self.both()
        self.one.transport.lose()
        self.it.clock.advance(GRACE + 1)
        self.turn()
        self.assertEqual((list(self.it.hub.peers), len(self.it.relay.ports)), (["two"], 1))
        self.two.transport.lose()
        self.it.clock.advance(GRACE - 1)
        self.turn()
        self.assertEqual(len(self.it.relay.ports), 1)
        self.it.clock.advance(2)
        self.turn()
        self.assertEqual((self.it.relay.ports, len(self.it.hub.groups), self.it.hub.peers), ([], 0, {}))

    def test_leaving_while_another_joins(self) -> None:
        """Who joins in the very moment in which the last member leaves gets the port, behind its closing."""
        self.assertEqual(self.join(self.one), "ok")
        self.one.say(Unregister(7, ("web",)))
        self.assertEqual(self.join(self.two), "ok")
        self.turn()
        self.assertEqual([port.port for port in self.it.relay.ports], [8080])
        leg = self.two.bring_leg()
        self.it.relay.port(8080).visit()
        self.assertEqual(len(leg.opened), 1)

    def test_rights_taken_away(self) -> None:
        """A member whose group is not allowed any more leaves it, and who waits or is dialled for goes to the other."""
        it = self.it = self.world()
        member = {"allow_groups": ["api"]}
        it.clients_are(identity("one", OTHER_TOKEN, **member), identity("two", OTHER_TOKEN, **member))
        self.one, self.two = (it.login(name, token=OTHER_TOKEN) for name in ("one", "two"))
        port = self.both()
        first, second = port.visit(), port.visit()
        it.clients_are(identity("one", OTHER_TOKEN), identity("two", OTHER_TOKEN, **member))
        self.assertEqual((first.aborted, second.aborted, it.hub.peers["two"].visitors), (False, False, 2))
        legs = [self.two.bring_leg() for _ in range(2)]
        self.assertEqual([leg.opened[0].src for leg in legs], [first.address, second.address])
        self.assertEqual(len(self.lines("mapping web of client one is closed: its rights have changed")), 1)


class ServingTests(GroupTestCase):
    """Who gets which visitor."""

    def setUp(self) -> None:
        super().setUp()
        self.port = self.both()
        self.a, self.b = self.one.bring_leg(), self.two.bring_leg()

    def opens(self) -> list[int]:
        """Return how many visitors both legs have had."""
        return [len(self.a.opened), len(self.b.opened)]

    def served(self) -> tuple[FakeLeg, FakeLeg]:
        """Return the leg that has the visitor, and the other one."""
        return (self.a, self.b) if self.a.state == "busy" else (self.b, self.a)

    def client_of(self, leg: FakeLeg) -> Client:
        """Return whose leg it is."""
        return self.one if leg is self.a else self.two

    def test_evenly(self) -> None:
        """Visitors are spread evenly, are asked for under the name that each client has for it, and are held; the log
        says who served them."""
        for _ in range(10):
            self.port.visit()
            leg, _other = self.served()
            self.assertTrue(leg.held)
            leg.answer()
            leg.finish()
        self.assertEqual(self.opens(), [5, 5])
        self.assertEqual(({o.mapping for o in self.a.opened}, {o.mapping for o in self.b.opened}), ({"web"}, {"other"}))
        self.assertEqual(len(self.lines("of web of client one (group api) ended: completed")), 5)
        self.assertEqual((self.outcomes(), self.visitors(), self.it.hub.live), ({"completed": 10}, [0, 0], 0))

    def test_fewest(self) -> None:
        """Who has fewer gets the next one, those counted that wait."""
        more = [self.two.bring_leg() for _ in range(3)]
        for _ in range(4):
            self.port.visit()
        self.assertEqual(self.visitors(), [2, 2])
        for leg in (self.b, *more):
            if leg.state == "busy":
                leg.answer()
                leg.finish()
        self.port.visit()
        self.port.visit()
        self.assertEqual(self.visitors(), [2, 2])

    def test_without_group_not_held(self) -> None:
        """A visitor of a mapping without a group is read from at once."""
        port = self.one.publish(9090, "alone")
        port.visit()
        self.assertFalse(self.a.held)

    def test_refused(self) -> None:
        """A visitor whose target is refused goes to the next member under the same id; the log says so. The one that
        refused is not tried again for a while, though it has no visitor."""
        visitor = self.port.visit()
        leg, other = self.served()
        leg.finish(Outcome.REFUSED)
        self.assertEqual((visitor.aborted, self.opens(), self.it.hub.live), (False, [1, 1], 1))
        self.assertEqual(leg.opened[0].conn, other.opened[0].conn)
        self.assertEqual(len(self.lines("moves from client")), 1)
        other.answer()
        other.finish()
        for _ in range(3):
            self.port.visit()
            self.assertEqual((other.state, leg.state), ("busy", "idle"))
            other.answer()
            other.finish()
        self.it.clock.advance(5)
        self.port.visit()
        self.assertEqual(leg.state, "busy")
        self.assertEqual(self.outcomes(), {"completed": 4})

    def test_forgiven(self) -> None:
        """What a member has failed at is forgotten when its client has come back, and when its target is up again."""
        for back in ("session", "target"):
            self.port.visit()
            leg, other = self.served()
            leg.finish(Outcome.REFUSED)
            other.answer()
            other.finish()
            client = self.client_of(leg)
            name, mapping = ("one", "web") if client is self.one else ("two", "other")
            if back == "session":
                client.transport.lose()
                client = self.it.login(name, instance=b"again")
                self.assertEqual(self.join(client, name=mapping), "ok")
                leg = client.bring_leg()
                if name == "one":
                    self.one, self.a = client, leg
                else:
                    self.two, self.b = client, leg
            else:
                client.say(MappingState(mapping, "down", "no answer"), MappingState(mapping, "up", ""))
                self.turn()
            self.port.visit()
            self.assertEqual((leg.state, other.state), ("busy", "idle"))
            leg.answer()
            leg.finish()

    def test_forgiven_by_an_answer(self) -> None:
        """When both have failed, the one that answers a visitor gets the next one, ahead of the one that has not."""
        self.port.visit()
        leg, other = self.served()
        leg.finish(Outcome.REFUSED)
        other.finish(Outcome.REFUSED)
        for _ in range(2):
            self.port.visit()
            chosen, _other = self.served()
            chosen.answer()
            chosen.finish()
        self.assertEqual((len(leg.opened), len(other.opened)), (3, 1))

    def test_cut(self) -> None:
        """A visitor who is cut because of rights is reset, and not given to the next one."""
        self.port.visit()
        leg, other = self.served()
        leg.owner.leg_ended(leg, StreamEnd(Outcome.STOPPED, "acl_denied", 0, 0))
        self.assertEqual((other.opened, self.outcomes(), self.visitors()), ([], {"stopped": 1}, [0, 0]))

    def test_each_once(self) -> None:
        """Each member is tried once; then the visitor is reset with the last reason, and counted once."""
        for first, second in (
            (Outcome.REFUSED, Outcome.DIAL_TIMEOUT), (Outcome.DIAL_TIMEOUT, Outcome.PROTOCOL_ERROR),
            (Outcome.PROTOCOL_ERROR, Outcome.REFUSED),
        ):  # fmt: skip
            before, came = self.it.hub.outcomes.copy(), self.it.hub.visitors_total
            visitor = self.port.visit()
            leg, other = self.served()
            leg.finish(first)
            self.assertFalse(visitor.aborted)
            other.finish(second)
            self.assertTrue(visitor.aborted)
            self.assertEqual((self.it.hub.outcomes - before, self.visitors()), ({second: 1}, [0, 0]))
            self.assertEqual((self.it.hub.visitors_total - came, self.it.hub.live), (1, 0))
            self.it.clock.advance(6)

    def test_answered_never_again(self) -> None:
        """Once a target has answered nobody else gets the visitor, whatever happens."""
        for outcome in (Outcome.LEG_LOST, Outcome.RESET_BY_TARGET, Outcome.STOPPED, Outcome.REFUSED):
            self.port.visit()
            leg, other = self.served()
            before = len(other.opened)
            leg.answer()
            leg.finish(outcome)
            self.assertEqual((len(other.opened), other.state), (before, "idle"))

    def test_kicked(self) -> None:
        """Whom an operator of the client has cut before the answer goes to no other one."""
        visitor = self.port.visit()
        leg, other = self.served()
        leg.finish(Outcome.REFUSED, "kicked")
        self.assertEqual((visitor.aborted, other.state, self.outcomes()), (True, "idle", {"refused": 1}))

    def test_leg_lost(self) -> None:
        """A leg that breaks before the answer costs nobody; one behind it takes its visitor along."""
        visitor = self.port.visit()
        leg, other = self.served()
        leg.lose()
        self.assertEqual((visitor.aborted, other.state), (False, "busy"))
        other.answer()
        other.lose()
        self.assertEqual(self.outcomes(), {"leg_lost": 1})

    def test_left(self) -> None:
        """A visitor who leaves while his target is dialled is nobody's any more."""
        visitor = self.port.visit()
        leg, other = self.served()
        visitor.gone = True
        leg.finish(Outcome.VISITOR_LEFT)
        self.assertEqual((len(other.opened), self.outcomes()), (0, {"visitor_left": 1}))
        visitor = self.port.visit()
        leg, other = self.served()
        visitor.gone = True
        leg.finish(Outcome.REFUSED)
        self.assertEqual((other.state, self.outcomes()), ("idle", {"visitor_left": 1, "refused": 1}))

    def test_probe_fails(self) -> None:
        """A leg that is silent when it is tried sends its visitor, and all who wait there, to the other member."""
        self.b.lose()
        self.it.clock.advance(11)
        visitors = [self.port.visit() for _ in range(4)]
        self.assertEqual((self.a.probes, self.visitors()), (1, [2, 2]))
        self.a.lose()
        self.assertEqual(self.visitors(), [0, 4])
        sources = [self.two.bring_leg().opened[0].src for _ in range(4)]
        self.assertEqual((len(set(map(id, visitors))), sources), (4, [v.address for v in visitors]))

    def test_legs_failed(self) -> None:
        """A client that cannot bring legs keeps nobody who waits."""
        self.a.lose()
        self.b.lose()
        self.port.visit()
        self.port.visit()
        self.assertEqual(self.visitors(), [1, 1])
        self.one.say(LegsFailed(False, 1, "no descriptors"))
        self.assertEqual(self.visitors(), [0, 2])
        self.assertEqual(self.one.bring_leg().opened, [])  # nobody waits at two places
        # And if the other one cannot, either, they stay where they are until their time is over.
        self.two.say(LegsFailed(False, 1, "no descriptors"))
        self.assertEqual(sum(self.visitors()), 2)

    def test_no_leg(self) -> None:
        """Who has waited in vain for a leg of one member waits for one of the other, and then no more."""
        self.a.lose()
        self.b.lose()
        visitor = self.port.visit()
        had = self.visitors()
        self.it.clock.advance(10.1)
        self.assertEqual((visitor.aborted, self.visitors()), (False, had[::-1]))
        self.it.clock.advance(10.1)
        self.assertEqual((visitor.aborted, self.outcomes()), (True, {"no_leg": 1}))

    def test_session_lost(self) -> None:
        """A member whose session is lost is passed over; who waits there is served by the other one."""
        self.a.lose()
        self.b.lose()
        visitors = [self.port.visit(), self.port.visit()]
        self.one.transport.lose()
        self.assertEqual(self.visitors(), [0, 2])
        visitors.append(self.port.visit())
        self.assertEqual(self.visitors(), [0, 3])
        self.assertEqual([v.aborted for v in visitors], [False] * 3)
        self.two.bring_leg()
        back = self.it.login("one", instance=b"again")
        self.assertEqual(self.join(back), "ok")
        leg = back.bring_leg()
        self.assertEqual(leg.opened, [])  # nobody waits at two places
        last = self.port.visit("198.51.100.7:9")
        self.assertEqual((self.visitors(), [o.src for o in leg.opened]), ([1, 3], [last.address]))

    def test_all_away(self) -> None:
        """While all members are away visitors wait, as for a client alone; the first one that is back serves all."""
        for leg, client in ((self.a, self.one), (self.b, self.two)):
            client.transport.lose()
            leg.lose()
        visitors = [self.port.visit() for _ in range(4)]
        self.assertEqual(self.visitors(), [2, 2])
        back = self.it.login("two", instance=b"again")
        self.assertEqual(self.visitors(), [0, 4])
        self.assertEqual([back.bring_leg().opened[0].mapping for _ in visitors], ["other"] * 4)
        self.assertEqual(self.outcomes(), {})

    def test_joins_while_all_are_away(self) -> None:
        """A client that joins serves those who wait for members that are away."""
        for leg, client in ((self.a, self.one), (self.b, self.two)):
            client.transport.lose()
            leg.lose()
        visitors = [self.port.visit() for _ in range(3)]
        three = self.it.login("three")
        self.assertEqual((self.join(three), self.it.hub.peers["three"].visitors), ("ok", 3))
        self.assertEqual([len(three.bring_leg().opened) for _ in visitors], [1, 1, 1])

    def test_all_away_for_good(self) -> None:
        """Nobody waits longer than for a client alone when no member comes back."""
        for leg, client in ((self.a, self.one), (self.b, self.two)):
            client.transport.lose()
            leg.lose()
        visitor = self.port.visit()
        self.it.clock.advance(10.1)
        self.assertEqual((visitor.aborted, self.outcomes()), (True, {"no_leg": 1}))

    def test_drain(self) -> None:
        """A member that drains gets nobody new, and who waits there goes to the other; what it serves goes on."""
        self.port.visit()
        leg, other = self.served()
        leg.answer()
        other.lose()
        client, rest = self.client_of(leg), self.client_of(other)
        waiting = [self.port.visit() for _ in range(3)]
        client.say(Drain(1000))
        served = [rest.bring_leg() for _ in range(3)]
        self.assertEqual(sum(len(each.opened) for each in served), 3)
        self.assertEqual([v.aborted for v in waiting], [False] * 3)
        leg.finish()
        self.assertEqual(self.outcomes(), {"completed": 1})
        self.port.visit()
        self.assertEqual((len(leg.opened), leg.closed), (1, True))

    def test_down_and_up(self) -> None:
        """A member whose target is down is passed over, and who waits there moves; the port is open while one is up,
        closed while none is, and the same port is open again with the first that is up."""
        self.a.lose()
        self.b.lose()
        visitors = [self.port.visit(), self.port.visit()]
        self.one.say(MappingState("web", "down", "no answer"))
        self.turn()
        self.assertEqual((self.visitors(), self.port.open), ([0, 2], True))
        visitors.append(self.port.visit())
        self.assertEqual(self.visitors(), [0, 3])
        self.two.say(MappingState("other", "down", "no answer"))
        self.turn()
        self.assertEqual((self.port.open, [v.aborted for v in visitors]), (False, [True] * 3))
        self.assertEqual(self.outcomes(), {"mapping_down": 3})
        self.assertEqual(len(self.it.hub.groups), 1)
        self.assertEqual(self.join(self.it.login("three"), group=None), "port_in_use")
        self.one.say(MappingState("web", "up", ""))
        self.turn()
        self.it.relay.port(8080).visit()
        self.assertEqual(self.visitors(), [1, 0])
        self.two.say(MappingState("other", "up", ""))
        self.turn()
        self.it.relay.port(8080).visit()
        self.assertEqual((self.visitors(), len(self.it.relay.ports)), ([1, 1], 1))

    def test_joins_while_down(self) -> None:
        """A member that joins while all others are down opens the port."""
        for client, name in ((self.one, "web"), (self.two, "other")):
            client.say(MappingState(name, "down", "no answer"))
        self.turn()
        self.assertEqual(self.it.relay.ports, [])
        three = self.it.login("three")
        self.assertEqual(self.join(three), "ok")
        leg = three.bring_leg()
        self.it.relay.port(8080).visit()
        self.assertEqual(len(leg.opened), 1)

    def test_up_and_taken(self) -> None:
        """When another program has taken the port meanwhile, a member that is up again tries until it has it."""
        for client, name in ((self.one, "web"), (self.two, "other")):
            client.say(MappingState(name, "down", "no answer"))
        self.turn()
        self.it.relay.taken.add(8080)
        self.one.say(MappingState("web", "up", ""))
        self.turn()
        self.assertEqual(self.it.relay.ports, [])
        self.it.relay.taken.clear()
        self.it.clock.advance(5)
        self.turn()
        self.it.relay.port(8080).visit()
        self.assertEqual(self.visitors(), [1, 0])

    def test_takeover(self) -> None:
        """A successor keeps the port and who waits, and is given visitors; the other member notices nothing."""
        self.a.lose()
        self.b.lose()
        visitors = [self.port.visit(), self.port.visit()]
        successor = self.it.login("one", instance=b"one")
        self.assertEqual(self.join(successor), "ok")
        self.assertEqual((self.visitors(), self.it.relay.listens), ([1, 1], 1))
        legs = [successor.bring_leg(), self.two.bring_leg()]
        self.assertEqual([len(leg.opened) for leg in legs], [1, 1])
        self.assertEqual([v.aborted for v in visitors], [False, False])

    def test_takeover_while_a_leg_is_tried(self) -> None:
        """A leg that is closed with its session while it is tried is no sign that its client is away."""
        self.b.lose()
        self.it.clock.advance(11)
        visitors = [self.port.visit() for _ in range(2)]
        self.assertEqual((self.a.probes, self.visitors()), (1, [1, 1]))
        successor = self.it.login("one", instance=b"one")
        self.assertEqual(self.join(successor), "ok")
        self.assertEqual((self.a.closed, self.visitors()), (True, [1, 1]))
        self.assertEqual(self.lines("goes from client"), [])
        legs = [successor.bring_leg(), self.two.bring_leg()]
        self.assertEqual([len(leg.opened) for leg in legs], [1, 1])
        self.assertEqual([v.aborted for v in visitors], [False, False])

    def test_old_session_undoes_nothing(self) -> None:
        """What a session says after it was replaced does not take its client out of the group."""
        successor = self.it.login("one", instance=b"one")
        self.assertEqual(self.join(successor), "ok")
        self.one.say(Unregister(9, ("web",)), MappingState("web", "down", "late"))
        self.one.transport.lose()
        self.turn()
        leg = successor.bring_leg()
        self.b.lose()
        self.port.visit()
        self.port.visit()
        self.assertEqual(len(leg.opened), 1)

    def test_limits(self) -> None:
        """A member without room is passed over; when none has room, the limit of a client is named."""
        self.it = World(allow_groups=("api",), limits={"visitors": 2})
        self.one, self.two = self.it.login("one"), self.it.login("two")
        port = self.both()
        visitors = [port.visit() for _ in range(5)]
        self.assertEqual([v.aborted for v in visitors], [False] * 4 + [True])
        self.assertEqual((self.visitors(), self.outcomes()), ([2, 2], {"denied": 1}))
        self.assertEqual(len(self.lines("limits.visitors, 2 for this client")), 1)

    def test_limit_of_one(self) -> None:
        """One member with less room gets no more than that, and the others the rest. When only those are up that have
        none, their limit is named, and nobody is sent to a target that is down."""
        it = self.it = self.world()
        member = {"allow_groups": ["api"]}
        it.clients_are(
            identity("one", OTHER_TOKEN, **member), identity("two", OTHER_TOKEN, limits={"visitors": 1}, **member)
        )
        self.one, self.two = (it.login(name, token=OTHER_TOKEN) for name in ("one", "two"))
        port = self.both()
        visitors = [port.visit() for _ in range(5)]
        self.assertEqual(([v.aborted for v in visitors], self.visitors()), ([False] * 5, [4, 1]))
        self.one.say(MappingState("web", "down", "no answer"))
        self.turn()
        self.assertTrue(port.visit().aborted)
        self.assertEqual(len(self.lines("limits.visitors, 1 for this client")), 1)

    def test_leaving(self) -> None:
        """Nobody is given to a member that is about to leave, while others of the group still close and open ports."""
        turn = self.it.hub.groups.turn
        self.successResultOf(turn.acquire())
        self.one.say(Unregister(7, ("web",)))
        for _ in range(2):
            self.port.visit()
        self.assertEqual(self.visitors(), [0, 2])
        turn.release()
        self.turn()
        self.assertNotIn("web", self.it.hub.peers["one"].mappings)

    def test_pending_limit(self) -> None:
        """So is one for whose legs as many wait as may, in favour of one with a leg."""
        self.it = World(allow_groups=("api",), limits={"pending": 1})
        self.one, self.two = self.it.login("one"), self.it.login("two")
        port = self.both()
        for _ in range(3):
            self.two.bring_leg()
        visitors = [port.visit() for _ in range(5)]
        self.assertEqual([v.aborted for v in visitors], [False] * 5)
        self.assertEqual(self.visitors(), [1, 4])

    def test_expelled(self) -> None:
        """A client that is shut out takes only those along whom its target had answered."""
        it = self.it = self.world()
        member = {"allow_groups": ["api"]}
        both = [identity(name, OTHER_TOKEN, **member) for name in ("one", "two")]
        it.clients_are(*both)
        self.one, self.two = (it.login(name, token=OTHER_TOKEN) for name in ("one", "two"))
        port = self.both()
        legs = [self.one.bring_leg(), self.one.bring_leg()]
        visitors = [port.visit() for _ in range(4)]
        legs[0].answer()
        it.clients_are(identity("one", OTHER_TOKEN, disabled=True), both[1])
        self.assertEqual((self.outcomes(), it.hub.peers["two"].visitors), ({"stopped": 1}, 3))
        self.assertEqual(sum(visitor.aborted for visitor in visitors), 0)  # the leg has reset the one

    def test_server_stops(self) -> None:
        """When the server stops, who waits still gets a leg, and then the group is gone."""
        self.a.lose()
        self.b.lose()
        visitors = [self.port.visit(), self.port.visit()]
        for peer in tuple(self.it.hub.peers.values()):
            done = Deferred.fromCoroutine(peer.stop())
            self.turn()
            self.successResultOf(done)
        self.assertEqual((self.it.relay.ports, len(self.it.hub.groups)), ([], 0))
        legs = [self.one.bring_leg(), self.two.bring_leg()]
        self.assertEqual([len(leg.opened) for leg in legs], [1, 1])
        self.assertEqual([v.aborted for v in visitors], [False, False])
