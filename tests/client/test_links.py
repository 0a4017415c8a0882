"""A client with several servers: names whose addresses come and go, and addresses that lead to the same server."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.monkey import MonkeyPatcher

from gotunnel.address import HostPort
from gotunnel.client import addresses, link, links
from gotunnel.client.addresses import LOOK_AGAIN
from gotunnel.client.link import Link
from gotunnel.client.links import Links
from gotunnel.client.pace import RESERVE
from gotunnel.client.servers import APART
from gotunnel.client.standing import Standing
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, DialFailed
from gotunnel.wire.handshake import ServerHandshake, derive_key
from gotunnel.wire.messages import Error, MappingState, NeedLegs
from tests.client.world import TOKEN, ClientTestCase, FakePath, FakeServer, World, mapping

A, B = "192.0.2.1", "192.0.2.2"


class Many(World):
    """A client whose servers are at addresses of the test's choice. `leads` says which server an address leads to."""

    def __init__(self, *servers: str, **config: Any) -> None:
        self.paths: dict[str, FakePath] = {}
        self.leads: dict[str, bytes] = {}
        super().__init__(server_addr=None, servers=servers, **config)

    def make(self, config: ClientConfig) -> Links:
        """Make the client."""
        return Links(config, self.clock, self.relay, self.path_to, b"one")  # type: ignore[arg-type]

    def path_to(self, server: HostPort, ip: str | None) -> FakePath:
        """See Links."""
        host = ip or server.host
        self.paths[host] = path = FakePath(self.clock)
        path.server, path.address, path.label = server, HostPort(host, server.port), host
        return path

    def answer(self, host: str, *, accept: bool = True) -> FakeServer:
        """Play the server at the last connection to an address."""
        server = FakeServer(self, self.paths[host].attempts[-1][2])
        server.handshake = ServerHandshake(
            lambda name: (derive_key(TOKEN, name),), (), self.leads.get(host, host.encode())
        )
        server.challenge()
        return server.accept(heartbeat=1000.0, timeout=5000.0) if accept else server

    def at(self, host: str) -> Link:
        """Return the link to an address."""
        (found,) = [link for link in self.links.links if link.label == host]
        return found

    def tried(self, host: str) -> int:
        """Say how often an address was connected to."""
        return len(self.paths[host].attempts)


class SeveralTests(ClientTestCase):
    """Servers that are named one by one."""

    def setUp(self) -> None:
        """Both are connected."""
        self.world = Many(A, B)
        self.world.links.start()
        self.servers = {host: self.world.answer(host) for host in (A, B)}

    def test_independent(self) -> None:
        """Mappings are open on both; the loss of one changes nothing for the other, and it is sought for ever."""
        world = self.world
        for host in (A, B):
            self.servers[host].grant()
            self.assertIs(world.at(host).published.statuses["web"].standing, Standing.OPEN)
        self.servers[A].transport.lose()
        world.paths[A].fails = "connection refused"
        world.run_until(lambda: world.tried(A) > 20, 1000)
        self.assertEqual(world.tried(B), 1)
        self.assertIsNotNone(world.at(B).session)
        self.assertIs(world.at(B).published.statuses["web"].standing, Standing.OPEN)

    def test_refused_by_one(self) -> None:
        """What one server refuses, the other one serves."""
        self.servers[A].grant("port_in_use")
        self.servers[B].grant()
        standings = [self.world.at(host).published.statuses["web"].standing for host in (A, B)]
        self.assertEqual(standings, [Standing.REFUSED, Standing.OPEN])

    def test_drain(self) -> None:
        """The end of the client is over when all servers are left."""
        done = self.world.stop(1.0)
        self.world.run_until(lambda: bool(done), 10)
        self.assertEqual(done, [0])
        self.assertTrue(all(self.servers[host].transport.lost for host in (A, B)))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_one_key_for_each(self) -> None:
        """A session of the one cannot be entered with the key of the other."""
        self.assertNotEqual(self.servers[A].ks, self.servers[B].ks)


class TargetTests(ClientTestCase):
    """A target is watched once, whatever number of servers hear of it."""

    def test_told_to_all(self) -> None:
        """Every server hears that it is down, one that is met later too."""
        probes: list[Deferred[None]] = []

        class Check:
            def probe(self) -> Deferred[None]:
                probes.append(Deferred())
                return probes[-1]

        self.patch(links, "check_for", lambda clock, mapping: Check())
        sick = mapping().model_copy(update={"health": {"interval": 1, "failures": 1}})
        world = Many(A, B, mappings=[sick.model_dump() | {"local": "127.0.0.1:1", "remote": 80}])
        world.paths[B].fails = "connection refused"
        world.links.start()
        first = world.answer(A)
        world.clock.advance(1.0)
        self.assertEqual(len(probes), 1)
        probes[0].errback(DialFailed("refused", "connection refused"))
        world.paths[B].fails = None
        world.run_until(lambda: world.tried(B) > 1 and world.paths[B].attempts[-1][2].protocol is not None)
        second = world.answer(B)
        for server in (first, second):
            states = [each.state for each in server.heard() if isinstance(each, MappingState)]
            self.assertEqual(states, ["down"])


class NameTests(ClientTestCase):
    """A name with many addresses."""

    def setUp(self) -> None:
        """The name leads to what `ips` holds."""
        self.ips = [A, B]
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

        def look(clock: Any, host: str, port: int, timeout: float) -> Deferred[list[str]]:
            found: Deferred[list[str]] = Deferred()
            found.callback(list(self.ips))
            return found

        self.patch(addresses.NameWatch.__init__, "__defaults__", (look,))
        self.world = Many("tunnel.example.com")
        self.world.links.start()

    def lines(self, words: str) -> int:
        """Count what was logged."""
        return sum(words in str(formatEvent(event)) for event in self.log)

    def both(self) -> tuple[FakeServer, FakeServer]:
        """Be let in at both."""
        first = self.world.answer(A)
        self.world.clock.advance(APART)
        return first, self.world.answer(B)

    def in_reserve(self) -> tuple[FakeServer, FakeServer]:
        """Be let in at the first address; the second one leads to the same server."""
        self.world.leads = {A: b"server", B: b"server"}
        first = self.world.answer(A)
        self.world.clock.advance(APART)
        return first, self.world.answer(B, accept=False)

    def test_all(self) -> None:
        """There is a session with the server at each address; a moment lies between the first attempts."""
        self.assertEqual((self.world.tried(A), self.world.tried(B)), (1, 0))
        self.both()
        self.assertTrue(all(link.session is not None for link in self.world.links.links))

    def test_same_server(self) -> None:
        """Two addresses of one server take turns, and never its session from each other: the second says nothing that
        proves it, is in reserve, and steps in at once when the first is lost."""
        world = self.world
        first, before = self.in_reserve()
        self.assertEqual(before.transport.payloads(), [])
        self.assertTrue(before.transport.aborted)
        self.assertEqual(world.at(B).reserve, A)
        world.clock.advance(RESERVE)  # it looks whether that is still so, and says nothing new
        world.answer(B, accept=False)
        self.assertEqual(self.lines(f"{B} leads to the same server as {A}: kept in reserve"), 1)
        self.assertIsNotNone(world.at(A).session)
        tried = world.tried(B)
        first.transport.lose()
        self.assertEqual(world.tried(B), tried + 1)
        world.answer(B)
        self.assertIsNotNone(world.at(B).session)
        world.run_until(lambda: world.tried(A) > 1)
        world.answer(A, accept=False)
        self.assertEqual((world.at(A).reserve, world.at(B).reserve), (B, ""))

    def test_refused_before_the_reserve(self) -> None:
        """An address in reserve does not keep the refusal of an earlier attempt."""
        world = self.world
        world.leads = {A: b"server", B: b"server"}
        world.clock.advance(APART)
        refused = world.answer(B, accept=False)
        refused.transport.payloads()
        refused.say(Error("auth_failed", "the client name or the token is wrong"))
        self.assertIsInstance(world.at(B).failure, AuthRejected)
        world.answer(A)
        world.run_until(lambda: world.tried(B) > 1)
        world.answer(B, accept=False)
        self.assertEqual((world.at(B).reserve, world.at(B).failure), (A, None))

    def test_reserve_that_fails(self) -> None:
        """An address in reserve that cannot be reached any more is not in reserve: it is missed like any other."""
        world = self.world
        self.in_reserve()
        self.assertEqual(world.at(B).reserve, A)
        world.paths[B].fails = "connection refused"
        world.clock.advance(RESERVE)
        self.assertEqual((world.at(B).reserve, world.at(B).trouble), ("", "connection refused"))

    def test_session_that_breaks_down(self) -> None:
        """An address whose session breaks down while it begins keeps no other one in reserve, and nothing of it is
        left."""
        world = self.world
        world.leads = {A: b"server", B: b"server"}
        with MonkeyPatcher((link, "hand_over", lambda *_: 1 / 0)):
            world.answer(A)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(world.at(A).sessions, ())
        world.clock.advance(APART)
        world.answer(B)
        self.assertIsNotNone(world.at(B).session)

    def test_not_in_reserve_any_more(self) -> None:
        """An address that leads to another server by now is found out, and used."""
        world = self.world
        self.in_reserve()
        world.leads[B] = b"another"
        world.clock.advance(RESERVE)
        world.answer(B)
        self.assertTrue(all(link.session is not None for link in world.links.links))

    def test_address_comes(self) -> None:
        """A new address has a session as soon as the name is looked up again."""
        self.both()
        self.ips.append("192.0.2.3")
        self.world.clock.advance(LOOK_AGAIN)
        self.world.answer("192.0.2.3")
        self.assertEqual(len(self.world.links.links), 3)

    def test_address_goes(self) -> None:
        """An address that is gone keeps the session that it has, as long as that lasts, and then is forgotten; the name
        server may answer with a part of them each time."""
        world = self.world
        first, _ = self.both()
        self.ips = [B]
        world.clock.advance(LOOK_AGAIN)
        self.assertIsNotNone(world.at(A).session)
        self.ips = [A]
        world.clock.advance(LOOK_AGAIN)
        self.ips = [B]
        world.clock.advance(LOOK_AGAIN)
        self.assertEqual((world.tried(A), world.tried(B)), (1, 1))
        first.transport.lose()
        self.assertEqual([link.label for link in world.links.links], [B])
        world.clock.advance(20)
        self.assertEqual(world.tried(A), 1)
        self.ips = [A, B]
        world.clock.advance(LOOK_AGAIN)
        world.answer(A)
        self.assertEqual(sorted(link.label for link in world.links.links), [A, B])

    def test_address_goes_while_a_leg_is_made(self) -> None:
        """The end of a session that was making a leg is the end of its address, too, once."""
        world = self.world
        first, _ = self.both()
        world.paths[A].hangs = True
        first.say(NeedLegs(False, 2))
        self.ips = [B]
        world.clock.advance(LOOK_AGAIN)
        first.transport.lose()
        self.assertEqual(world.paths[A].cancelled, 2)
        self.assertEqual([link.label for link in world.links.links], [B])

    def test_dead_address_goes(self) -> None:
        """One that nobody answers at is forgotten at once."""
        world = self.world
        world.paths[A].fails = "connection refused"
        world.answer(A).transport.lose()
        world.clock.advance(1.0)
        self.ips = [B]
        world.clock.advance(LOOK_AGAIN)
        self.assertEqual([link.label for link in world.links.links], [B])
        tried = world.tried(A)
        world.clock.advance(60)
        self.assertEqual(world.tried(A), tried)

    def test_stop(self) -> None:
        """Stopped between two addresses it connects to no more of them."""
        done = self.world.stop(0.0)
        self.world.run_until(lambda: bool(done), 10)
        self.world.clock.advance(0)
        self.assertEqual((done, self.world.tried(B)), ([0], 0))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_left_before_it_began(self) -> None:
        """An address that the name has lost before its first attempt is never connected to, and forgotten."""
        world = self.world
        world.links.servers._found(HostPort("tunnel.example.com", 17000), [A])
        world.clock.advance(APART)
        self.assertEqual((world.tried(B), [link.label for link in world.links.links]), (0, [A]))
