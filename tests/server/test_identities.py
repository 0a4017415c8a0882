"""What happens to those who are connected when identities change: who is cut, what closes, what goes on."""

from __future__ import annotations

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.identities import Identities
from gotunnel.core.logins import Accepted
from gotunnel.core.outcome import Outcome
from gotunnel.server.guests import Guest
from gotunnel.server.keeping import GRACE
from gotunnel.wire.handshake import leg_client_mac
from gotunnel.wire.messages import (
    AuthOk,
    Error,
    Leg,
    MappingRequest,
    MappingState,
    Ping,
    Register,
    Unregister,
    decode,
)
from tests.doubles import FakePort
from tests.server.world import OTHER_TOKEN, TOKEN, Client, ServerTestCase, World, identity

SHARED = "5d0e9b7c13f84a62b5c8e1f0972d3a64"


class ChangeTestCase(ServerTestCase):
    """A server whose clients stand in the file: `edge`, and `other`, who has a visitor and is never touched."""

    def setUp(self) -> None:
        """Both are connected; each has a port and a visitor on a leg."""
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.it = self.world(token=SHARED)
        self.bystander = identity("other", OTHER_TOKEN)
        self.it.clients_are(identity("edge", TOKEN), self.bystander)
        self.other = self.it.login("other", token=OTHER_TOKEN)
        self.other_port = self.other.publish(9000, "bystander")
        self.other_leg = self.other.bring_leg()
        self.other_visitor = self.other_port.visit()
        self.client = self.it.login()
        self.port = self.client.publish(8080)
        self.leg = self.client.bring_leg()
        self.visitor = self.port.visit()
        self.client.heard()
        self.addCleanup(self.other_is_untouched)

    def other_is_untouched(self) -> None:
        """Whatever happened to `edge`, the other one was not disturbed."""
        self.assertEqual((self.other_leg.resets, self.other_leg.closed, self.other_visitor.aborted), ([], False, False))
        self.assertFalse(self.other.transport.gone)
        self.assertTrue(self.other_port.open)

    def change(self, *clients: FileIdentity) -> None:
        """The file says this of `edge` now."""
        self.it.clients_are(self.bystander, *clients)

    def lines(self) -> list[str]:
        """Return the warnings, formatted."""
        return [str(formatEvent(event)) for event in self.log if event["log_level"].name == "warn"]

    def cut(self, client: Client, why: str) -> None:
        """The client is cut, and knows why; nothing of it is served any more."""
        error = next(message for message in client.heard() if isinstance(message, Error))
        self.assertEqual((error.code, error.reason), ("auth_failed", f"this client may not stay: {why}"))
        self.assertTrue(client.transport.gone)
        (line,) = [line for line in self.lines() if line.startswith("client edge was disconnected (192.0.2.1:") and
        why in line]
        self.assertIn("gotunnel client list", line)


class CutTests(ChangeTestCase):
    """An identity that may not stay."""

    def everything_is_gone(self) -> None:
        """No port, no visitor, no leg, no session."""
        self.assertEqual([port.port for port in self.it.relay.ports], [9000])
        self.assertIsNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))
        self.assertTrue(self.leg.closed)
        self.assertEqual(self.it.hub.live, 1)
        self.assertEqual(set(self.it.hub.peers), {"other"})
        pending = [getattr(call.func, "__name__", "") for call in self.it.clock.getDelayedCalls()]
        self.assertNotIn("_grace_over", pending)
        self.assertEqual({session.peer.name for session in self.it.hub._present if not session.over}, {"other"})
        self.assertEqual(len(self.it.hub.sessions), 1)

    def test_disabled_revoked_removed(self) -> None:
        """Each way to take an identity away cuts its session at once, with all that belongs to it."""
        for clients, why in (
            ([identity("edge", TOKEN, disabled=True)], "it is disabled"),
            ([identity("edge")], "it is revoked"),
            ([identity("edge", TOKEN, expires=1_800_000_000)], "it has expired"),
        ):
            self.setUp()
            self.change(*clients)
            self.cut(self.client, why)
            self.everything_is_gone()
            self.assertEqual({session.peer.name for session in self.it.hub._present}, {"other"})

    def test_removed(self) -> None:
        """Without an entry the name is anybody's who holds the shared token, and no more that client's."""
        self.change()
        self.cut(self.client, "no such client is known any more")
        self.assertTrue(self.leg.closed)
        self.it.clock.advance(GRACE)
        self.it.clock.advance(0)
        self.everything_is_gone()

    def test_waiting_visitors(self) -> None:
        """Visitors who wait for a leg are reset too."""
        waiting = self.port.visit()
        self.assertEqual((self.leg.opens, waiting.aborted), (1, False))
        self.change(identity("edge"))
        self.assertTrue(waiting.aborted)
        self.everything_is_gone()

    def test_who_does_not_read(self) -> None:
        """A client that does not take its last words has nothing to say either: what it asks for is not heard, and its
        connection is aborted soon."""
        client = self.client
        client.transport.holds = True
        self.change(identity("edge", TOKEN, disabled=True))
        client.say(Register(9, (MappingRequest("late", 8081),)))
        self.it.clock.advance(0)
        self.everything_is_gone()
        self.it.clock.advance(2.1)
        self.assertTrue(client.transport.gone)

    def test_legs_that_are_on_their_way(self) -> None:
        """A leg of the session that arrives afterwards is refused, however right its proof."""
        message = self.client.leg_message()
        self.change(identity("edge", TOKEN, disabled=True))
        transport = self.it.connect()
        transport.say(message)
        self.assertError(transport, "no_session")

    def test_comes_back(self) -> None:
        """It is not let in again, neither with its token nor with the shared one; enabled again, it is."""
        self.change(identity("edge", TOKEN, disabled=True))
        for token in (TOKEN, SHARED):
            transport = self.it.connect("203.0.113.9")
            self.it.prove(transport, token=token)
            self.assertTrue(transport.gone)
        self.everything_is_gone()
        self.change(identity("edge", TOKEN))
        again = self.it.login()
        again.publish(8080)

    def test_in_the_time_of_grace(self) -> None:
        """A client that is away when it is revoked loses its ports and its running visitors all the same."""
        self.client.transport.lose()
        self.assertFalse(self.leg.closed)
        self.assertTrue(self.port.open)
        self.change(identity("edge"))
        self.everything_is_gone()
        self.it.clock.advance(GRACE + 1)
        self.everything_is_gone()

    def test_streams_of_a_session_that_was_replaced(self) -> None:
        """They go with the rest."""
        successor = self.it.login()
        successor.publish(8080)
        self.assertFalse(self.leg.closed)
        self.change(identity("edge"))
        self.cut(successor, "it is revoked")
        self.everything_is_gone()

    def test_while_it_registers(self) -> None:
        """What it had asked for and what was under way is not opened any more."""
        self.client.say(Register(5, (MappingRequest("web", 8081), MappingRequest("more", 8082))))
        self.it.hub.identities_changed(self.it.hub.credentials.table([self.bystander, identity("edge")]))
        for _ in range(5):
            self.it.clock.advance(0)
        self.everything_is_gone()
        self.assertIsNone(self.it.hub.ports.owner_of("0.0.0.0", 8081))
        self.assertIsNone(self.it.hub.ports.owner_of("0.0.0.0", 8082))

    def test_while_an_older_session_is_asked(self) -> None:
        """Who had proved a token that is not valid any more when the answer comes is refused."""
        self.it.hub.identities_changed(
            self.it.hub.credentials.table([self.bystander, identity("edge", TOKEN, OTHER_TOKEN)])
        )
        newcomer = self.it.connect("203.0.113.5")
        self.it.prove(newcomer, instance=b"two", token=OTHER_TOKEN)
        self.assertEqual(len([m for m in self.client.heard() if isinstance(m, Ping)]), 1)
        self.change(identity("edge", TOKEN))
        self.it.clock.advance(2.1)
        self.assertError(newcomer, "auth_failed")
        self.assertFalse(self.client.transport.gone)

    def test_expiry(self) -> None:
        """When its time comes nothing more is opened, before anybody looks; and whoever looks cuts it."""
        soon = identity("edge", TOKEN, expires=self.it.wall + 60)
        self.change(soon)
        self.assertFalse(self.client.transport.gone)
        second = self.client.bring_leg()
        self.it.wall += 59.9
        self.it.hub.expire()
        self.port.visit()
        self.assertEqual(second.opens, 1)
        second.finish()
        self.it.wall += 0.1
        late = self.port.visit()
        self.assertEqual((second.opens, late.aborted), (1, True))
        self.assertEqual(self.it.hub.outcomes[Outcome.DENIED], 1)
        self.client.say(MappingState("web", "down"))
        self.it.clock.advance(0)
        self.client.say(MappingState("web", "up"))
        self.it.clock.advance(0)
        self.assertFalse(self.it.hub.peers["edge"].mappings["web"].is_open)
        self.it.hub.expire()
        self.it.clock.advance(0)
        self.cut(self.client, "it has expired")
        self.everything_is_gone()

    def test_guest(self) -> None:
        """What is kept of a client's rights is not what a guest of that name may do, nor the other way round."""
        self.it.login("guest", token=SHARED)
        hub, peer = self.it.hub, self.it.hub.peers["guest"]
        guest = Guest(bytes(32), Accepted(allow_ports=(8500,)), AuthenticatorConfig.model_construct(plugin="somebody"))
        common = peer.rights
        for _ in range(2):
            hub.guests.add("guest", guest)
            self.assertEqual((8500 in peer.rights.allow_ports, 8501 in peer.rights.allow_ports), (True, False))
            hub.guests.drop("guest")
            self.assertIs(peer.rights, common)
            hub.identities = Identities(hub.identities, hub.identities.shared)

    def test_a_name_of_the_shared_token_is_given_an_identity(self) -> None:
        """Whoever had it by the shared token is cut; the owner of the new token finds the ports as they were."""
        guest = self.it.login("guest", token=SHARED)
        port = guest.publish(8500)
        self.it.clients_are(self.bystander, identity("edge", TOKEN), identity("guest", OTHER_TOKEN))
        self.assertEqual([m.code for m in guest.heard() if isinstance(m, Error)], ["auth_failed"])
        owner = self.it.login("guest", token=OTHER_TOKEN)
        self.assertIs(owner.publish(8500), port)


class RotationTests(ChangeTestCase):
    """Two tokens, one of which goes."""

    def test_new_one_is_used(self) -> None:
        """Who is on the new token by then notices nothing."""
        self.change(identity("edge", TOKEN, OTHER_TOKEN))
        self.assertEqual(self.client.heard(), [])
        second = self.it.login(token=OTHER_TOKEN)
        self.assertIs(second.publish(8080), self.port)
        leg = second.bring_leg()
        visitor = self.it.relay.port(8080).visit()
        self.leg.finish()  # the session before still had a visitor, on the old token
        self.change(identity("edge", OTHER_TOKEN))
        self.assertEqual((leg.opens, leg.closed, visitor.aborted, second.transport.gone), (1, False, False, False))
        self.assertTrue(self.port.open)

    def test_old_one_is_used(self) -> None:
        """Who is still on the old token is cut with its visitors; its port waits for it, and it finds it with the new
        token, without re-binding."""
        self.change(identity("edge", OTHER_TOKEN))
        self.cut(self.client, "its token is not valid any more")
        self.assertTrue(self.leg.closed)
        self.assertTrue(self.port.open)
        waiting = self.port.visit()
        transport = self.it.connect("203.0.113.9")
        self.it.prove(transport, token=TOKEN)
        self.assertTrue(transport.gone)
        again = self.it.login(token=OTHER_TOKEN)
        self.assertIs(again.publish(8080), self.port)
        leg = again.bring_leg()
        self.assertEqual((leg.opens, waiting.aborted), (1, False))

    def test_who_does_not_read(self) -> None:
        """Until the connection of the one that is cut is gone, its legs are refused all the same, and its state says
        nothing."""
        self.client.transport.holds = True
        late = self.client.leg_message()
        self.change(identity("edge", OTHER_TOKEN))
        self.assertTrue(self.port.open)
        transport = self.it.connect()
        transport.say(late)
        self.assertError(transport, "no_session")

    def test_streams_of_the_old_one(self) -> None:
        """A visitor on legs of a session whose token goes is cut although a successor has another one that stays."""
        self.change(identity("edge", OTHER_TOKEN, TOKEN))
        second = self.it.login(token=OTHER_TOKEN)
        second.publish(8080)
        self.assertFalse(self.leg.closed)
        self.change(identity("edge", OTHER_TOKEN))
        self.assertTrue(self.leg.closed)
        self.assertFalse(second.transport.gone)


class RightsTests(ChangeTestCase):
    """Rights that change while the client is there."""

    def with_kept(self) -> FakePort:
        """Publish 8081 beside 8080, and return its port."""
        (result,) = self.client.register(MappingRequest("kept", 8081), more=True)
        self.assertEqual((result.status, self.port.open), ("ok", True))
        return self.it.relay.port(8081)

    def test_narrowed(self) -> None:
        """One port is not allowed any more: it closes, its visitors are reset, those who wait too; the other mapping
        and its visitor go on. The session ends, and when the client comes back it hears why."""
        second_port = self.with_kept()
        kept_leg = self.client.bring_leg()
        kept = second_port.visit()
        waiting = self.port.visit()
        self.client.heard()
        self.change(identity("edge", TOKEN, allow_ports=[8081]))
        self.assertEqual((set(self.leg.resets), waiting.aborted), ({"acl_denied"}, True))
        self.assertEqual((kept_leg.resets, kept_leg.closed, kept.aborted, second_port.open), ([], False, False, True))
        self.assertFalse(self.port.open)
        self.assertIsNone(self.it.hub.ports.owner_of("0.0.0.0", 8080))
        self.assertError(self.client.transport, "going_away")
        again = self.it.login()
        web, ssh = again.register(MappingRequest("web", 8080), MappingRequest("kept", 8081))
        self.assertEqual((web.status, web.code, ssh.status), ("fail", "acl_denied", "ok"))
        self.assertIs(self.it.relay.port(8081), second_port)
        self.assertIn("acl_denied: port 8080 is not allowed; allowed: 8081", "\n".join(self.lines()))
        self.assertEqual((kept_leg.resets, kept_leg.closed), ([], False))

    def test_streams_of_a_session_that_was_replaced(self) -> None:
        """They are cut as well, when their port is not allowed any more."""
        successor = self.it.login()
        successor.register(MappingRequest("web", 8080), MappingRequest("kept", 8081))
        self.change(identity("edge", TOKEN, allow_ports=[8081]))
        self.assertEqual((set(self.leg.resets), self.leg.closed), ({"acl_denied"}, False))
        self.assertError(successor.transport, "going_away")

    def test_addresses(self) -> None:
        """The same when it is the address that is not allowed any more."""
        self.change(identity("edge", TOKEN, allow_bind=["127.0.0.1"]))
        self.assertEqual((set(self.leg.resets), self.port.open), ({"acl_denied"}, False))
        (result,) = self.it.login().register(MappingRequest("web", 8080))
        self.assertEqual(
            (result.code, result.reason), ("acl_denied", "listening on 0.0.0.0 is not allowed; allowed: 127.0.0.1")
        )

    def test_fewer_mappings(self) -> None:
        """Those that came last close."""
        wanted = (MappingRequest("web", 8080), *(MappingRequest(f"m{n}", 8100 + n) for n in range(3)))
        self.client.register(*wanted)
        last_leg = self.client.bring_leg()
        self.it.relay.port(8102).visit()
        self.change(identity("edge", TOKEN, limits={"mappings": 2}))
        self.assertEqual(sorted(port.port for port in self.it.relay.ports), [8080, 8100, 9000])
        self.assertEqual((self.leg.resets, self.leg.closed, last_leg.resets), ([], False, ["acl_denied"]))
        results = self.it.login().register(*wanted)
        self.assertEqual([r.code or r.status for r in results], ["ok", "ok", "limit", "limit"])

    def test_fewer_legs(self) -> None:
        """No more are taken than the new limit says."""
        self.change(identity("edge", TOKEN, limits={"legs": 1}))
        self.assertEqual(self.client.heard(), [])
        transport = self.client.offer_leg()
        self.assertError(transport, "limit")

    def test_fewer_visitors(self) -> None:
        """New ones are turned away; those who are here stay."""
        self.change(identity("edge", TOKEN, limits={"visitors": 1}))
        late = self.port.visit()
        self.assertEqual((late.aborted, self.leg.resets), (True, []))
        self.assertEqual(self.it.hub.outcomes, {Outcome.DENIED: 1})

    def test_wider(self) -> None:
        """Nobody is disturbed, and what was refused is granted when it is asked for again."""
        self.change(identity("edge", TOKEN, allow_ports=[80, 8080]))
        self.assertEqual(self.client.heard(), [])
        results = self.client.register(MappingRequest("web", 8080), MappingRequest("low", 80))
        self.assertEqual([result.status for result in results], ["ok", "ok"])
        self.assertEqual((self.leg.resets, self.leg.closed), ([], False))

    def test_token_of_all(self) -> None:
        """A client whose own token is the shared one is named in the log, once."""
        for _ in range(3):
            self.change(identity("edge", TOKEN, SHARED))
        self.assertEqual(sum("the token of client edge is the shared one" in line for line in self.lines()), 1)

    def test_the_same(self) -> None:
        """A file that says the same anew changes nothing."""
        for _ in range(3):
            self.change(identity("edge", TOKEN))
        self.assertEqual((self.client.heard(), self.leg.resets, self.leg.closed), ([], [], False))
        self.leg.finish()
        self.port.visit()
        self.assertEqual(self.leg.opens, 2)

    def test_streams_of_a_mapping_that_is_gone(self) -> None:
        """A visitor who streams on after his mapping was unregistered is cut when its port is not allowed any more."""
        self.client.say(Unregister(3, ("web",)))
        self.it.clock.advance(0)
        self.client.heard()
        self.assertFalse(self.port.open)
        self.assertEqual(self.leg.resets, [])
        self.change(identity("edge", TOKEN, allow_ports=[8085]))
        self.assertEqual(set(self.leg.resets), {"acl_denied"})
        self.assertFalse(self.client.transport.gone)

    def test_streams_of_a_client_that_is_forgotten(self) -> None:
        """A visitor streams on although his client is away and its ports are closed; he too is cut when the client may
        not have that port any more."""
        self.client.transport.lose()
        self.it.clock.advance(GRACE)
        self.it.clock.advance(0)
        self.assertEqual((set(self.it.hub.peers), self.leg.resets), ({"other"}, []))
        self.change(identity("edge", TOKEN, allow_ports=[8085]))
        self.assertEqual((set(self.leg.resets), self.leg.closed), ({"acl_denied"}, False))

    def test_while_it_is_away(self) -> None:
        """A client in its time of grace loses what it may not have; the rest waits for it."""
        kept = self.with_kept()
        self.client.transport.lose()
        self.change(identity("edge", TOKEN, allow_ports=[8081]))
        self.assertEqual(sorted(port.port for port in self.it.relay.ports), [8081, 9000])
        again = self.it.login()
        self.assertIs(again.publish(8081, "kept"), kept)

    def test_every_open(self) -> None:
        """A visitor who waits is checked when his turn comes, and the next one gets the leg."""
        port, first = self.with_kept(), self.port
        denied, served = first.visit(), port.visit()
        # Not told to anybody: the very moment before the change is acted upon.
        narrowed = identity("edge", TOKEN, allow_ports=[8081])
        self.it.hub.identities = self.it.hub.credentials.table([self.bystander, narrowed])
        self.it.hub.keyring.use(self.it.hub.identities)
        leg = self.client.bring_leg()
        self.assertEqual((denied.aborted, served.aborted), (True, False))
        self.assertEqual([opening.mapping for opening in leg.opened], ["kept"])
        leg.finish()
        again = first.visit()
        self.assertEqual((again.aborted, leg.opens), (True, 1))
        self.assertEqual(self.it.hub.outcomes[Outcome.DENIED], 2)


class LegProofTests(ServerTestCase):
    """What a proof of an old session is worth."""

    def test_after_rotation(self) -> None:
        """Legs prove the session's key; those of a session that was cut are nobody's, with whatever sid and number."""
        world = World(token=None, clients=[{"name": "edge", "token": TOKEN}])
        client = world.login()
        sid, ks = client.established.sid, client.established.ks
        other = World(token=None, clients=[{"name": "edge", "token": OTHER_TOKEN}])
        world.hub.identities_changed(other.hub.identities)
        for seq in (1, 2, 4096):
            transport = world.connect()
            mac = leg_client_mac(ks, sid, seq, "reverse", bytes(32))
            transport.say(Leg(sid, seq, "reverse", mac))
            self.assertError(transport, "no_session")
        transport = world.connect()
        _, answers = world.prove(transport, token=OTHER_TOKEN)
        self.assertIsInstance(decode(answers[0]), AuthOk)
