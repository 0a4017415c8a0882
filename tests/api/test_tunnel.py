"""A tunnel as an object: what it shares, what it says, how it fails, and that it leaves nothing behind."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from gotunnel.address import InProcess
from gotunnel.api import (
    AuthRejected,
    ConfigError,
    Connected,
    Lost,
    MappingClosed,
    MappingOpened,
    NotConnected,
    PortUnavailable,
    TunnelAddress,
    TunnelServerEndpoint,
)
from gotunnel.api import session as session_module
from gotunnel.api.listening import FactoryListener
from gotunnel.client.standing import Standing
from gotunnel.core.outcome import Outcome
from gotunnel.server.switching import switch_mapping
from tests.api.base import ApiTestCase, Service
from tests.integration.base import Peer, reactor
from tests.ports import free_port

WRONG = "c41d9f37a5b2408e96e07d1538f2ab64"
"""A token that no server here has."""


class SharingTests(ApiTestCase):
    """Who uses the same server in the same way uses one session."""

    async def test_one_session(self) -> None:
        """Three ports of two tunnels, and an endpoint: one session, which ends with the last of them and begins
        again."""
        server = await self.server()
        first, second = self.tunnel(server), self.tunnel(server)
        ports = [
            await first.expose(Service(), "127.0.0.1:0"),
            await second.expose(Service(), "127.0.0.1:0"),
            await TunnelServerEndpoint(second, "127.0.0.1:0").listen(Service()),
        ]
        self.assertEqual(len(server.hub.peers), 1)
        self.assertEqual((len(first.ports), len(second.ports)), (1, 2))
        visitors = [await self.echoes(port.address.port) for port in ports]
        for port in ports[:2]:
            await port.stopListening()
        self.assertTrue(first.connected)
        visitors.append(await self.echoes(ports[2].address.port))
        await ports[2].stopListening()
        self.assertEqual((first.ports, second.ports), ((), ()))
        self.assertTrue(first.connected)
        for visitor in visitors:
            visitor.transport.loseConnection()
        await self.until(lambda: not first.connected, "the end, when the last visitor has left")
        again = await first.expose(Service(), "127.0.0.1:0")
        await self.echoes(again.address.port)

    async def test_others_do_not(self) -> None:
        """Another name is another session."""
        server = await self.server()
        await self.tunnel(server, name="one").expose(Service(), "127.0.0.1:0")
        await self.tunnel(server, name="two").expose(Service(), "127.0.0.1:0")
        self.assertEqual(len(server.hub.peers), 2)

    async def test_names_of_its_own(self) -> None:
        """Two sessions of one process that were given no names have two."""
        server = await self.server()
        for relay in ("fast", "portable"):
            await self.tunnel(server, relay=relay).expose(Service(), "127.0.0.1:0")
        one, two = sorted(server.hub.peers)
        self.assertEqual(two, f"{one}-2")

    async def test_ends_without_visitors(self) -> None:
        """The Deferred of stopListening fires when nothing is left, if nobody visits."""
        server = await self.server()
        tunnel = self.tunnel(server)
        port = await tunnel.expose(Service(), "127.0.0.1:0")
        before = tunnel._session
        await port.stopListening()
        self.assertFalse(before.connected)
        self.assertNotIn(before, session_module._SHARED.get(reactor, {}).values())
        await port.stopListening()
        self.assertRaises(CannotListenError, port.startListening)

    async def test_connect_holds(self) -> None:
        """`connect` keeps the session until `close`, which closes the ports, too."""
        server = await self.server()
        async with self.tunnel(server) as tunnel:
            port = await tunnel.expose(Service(), "127.0.0.1:0")
            await port.stopListening()
            self.assertTrue(tunnel.connected)
            service = Service()
            await tunnel.expose(service, "127.0.0.1:0")
        self.assertFalse(tunnel.connected)
        self.assertEqual((service.started, tunnel.ports), (0, ()))


class TargetTests(ApiTestCase):
    """What can be exposed beside a factory."""

    async def test_port(self) -> None:
        """A port here; the same number there, if no other is named."""
        target, made = await self.target()
        server = await self.server()
        port = await self.tunnel(server).expose(target, "127.0.0.1:0")
        await self.echoes(port.address.port)
        self.assertEqual(len(made), 1)
        again = await self.tunnel(server).expose(target, "127.0.0.1:0")
        self.assertEqual((port.name, again.name), (f"127.0.0.1:{target}", f"127.0.0.1:{target}-2"))
        with self.assertRaises(PortUnavailable) as caught:
            await self.tunnel(server).expose(target)  # which is taken, by the target itself
        self.assertEqual(caught.exception.code, "port_in_use")
        self.assertIn(f"port {target}: ", str(caught.exception))
        self.assertIn("choose another remote port", str(caught.exception))

    async def test_endpoint(self) -> None:
        """An endpoint is connected for each visitor; bytes, the half-close and the end are his."""
        target, _ = await self.target(HalfCloser)
        server = await self.server()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", target)
        port = await self.tunnel(server).expose(endpoint, "127.0.0.1:0")
        visitor = await self.visitor(port)
        visitor.transport.write(b"x" * 100_000)
        visitor.transport.loseWriteConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual(visitor.received, b"100000 bytes")
        self.assertTrue(visitor.ended.check(ConnectionDone))
        await self.until(lambda: server.hub.outcomes == {Outcome.COMPLETED: 1}, "the outcome")

    async def test_visitors_address(self) -> None:
        """A port, and an endpoint, hear who the visitor is by the header of the PROXY protocol, ahead of his bytes; a
        factory is told of it by getPeer() and can have none."""
        target, _ = await self.target()
        server = await self.server()
        tunnel = self.tunnel(server)
        for what in (target, TCP4ClientEndpoint(reactor, "127.0.0.1", target)):
            port = await tunnel.expose(what, "127.0.0.1:0", proxy_protocol="v1")
            visitor = await self.visitor(port)
            near, far = visitor.transport.getHost(), visitor.transport.getPeer()
            header = f"PROXY TCP4 127.0.0.1 127.0.0.1 {near.port} {far.port}\r\n".encode()
            visitor.transport.write(b"hello")
            await self.until(lambda seen=visitor: seen.received.endswith(b"hello"), "the echo")
            self.assertEqual(visitor.received, header + b"hello")
            visitor.transport.loseConnection()
        for what, version, words in (
            (Service(), "v2", "proxy_protocol: has no meaning for a protocol factory"),
            (target, "v3", "proxy_protocol: "),
        ):  # fmt: skip
            with self.assertRaises(ConfigError) as caught:
                await tunnel.expose(what, "127.0.0.1:0", proxy_protocol=version)
            self.assertTrue(str(caught.exception).startswith(f"gotunnel: {words}"), str(caught.exception))

    async def test_endpoint_resets(self) -> None:
        """Resets pass it in both directions, and one that does not connect resets its visitor."""
        target, made = await self.target()
        server = await self.server()
        tunnel = self.tunnel(server)
        port = await tunnel.expose(TCP4ClientEndpoint(reactor, "127.0.0.1", target), "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        made[0].transport.abortConnection()
        await self.until(lambda: visitor.ended, "the reset")
        self.assertTrue(visitor.was_reset)
        other = await self.echoes(port.address.port)
        other.transport.abortConnection()
        await self.until(lambda: made[1].ended, "the reset")
        self.assertTrue(made[1].was_reset)
        nowhere = await tunnel.expose(UNIXClientEndpoint(reactor, str(self.folder / "none")), "127.0.0.1:0")
        lost = await self.visitor(nowhere)
        await self.until(lambda: lost.ended, "the reset")
        self.assertTrue(lost.was_reset)

    async def test_only_for_clients(self) -> None:
        """Without a port of the server it has no address, and the client that may reaches it."""
        server = await self.server(
            clients=({"name": "other", "token": WRONG, "allow_dial": ["mapping:here/inner"]},)
        )
        service = Service()
        port = await self.tunnel(server, name="here").expose(service, mapping="inner", public=False, clients=["other"])
        self.assertIsNone(port.address)
        self.assertEqual(port.getHost(), TunnelAddress("inner"))
        factory = Service()
        there = self.tunnel(server, name="other", token=WRONG)
        dialled: Any = await there.dial("mapping:here/inner", factory)
        dialled.transport.write(b"x")
        await self.until(lambda: service.made and service.made[0].received, "the byte")
        self.assertEqual(service.addresses[0].host, "127.0.0.1")  # of the other client: the server asks nobody
        self.assertEqual(dialled.transport.getPeer(), TunnelAddress("mapping:here/inner"))
        dialled.hang_up()

    async def test_refused(self) -> None:
        """What can be no mapping is said in the words of the call, before anything connects."""
        tunnel = self.tunnel(1)
        for what, options, words in (
            (object(), {}, "gotunnel: what: a object cannot be a target; give a port"),
            (8000, {"remote": "x:1"}, "gotunnel: remote: names a host"),
            (8000, {"remote": 70000}, "gotunnel: remote: 70000 is not a port number"),
            ("nowhere", {}, "gotunnel: what: "),
            (Service(), {"health": {"type": "tcp", "path": "/"}}, "gotunnel: health.path: is for type: http"),
            (1, {"drain": -1}, "gotunnel: drain: -1 is not a number of seconds; give a number from 0 to 86400"),
            (1, {"timeout": float("nan")}, "gotunnel: timeout: nan is not a number of seconds"),
            (1, {"timeout": "30", "drain": [1]}, "gotunnel: timeout: '30' is not a number of seconds"),
            (8000, {"remote": 1, "public": False}, "gotunnel: remote: has no meaning with public: false"),
            (8000, {"mapping": "", "remote": 0}, "gotunnel: mapping: "),
        ):
            with self.assertRaises(ConfigError) as caught:
                await tunnel.expose(what, **options)
            self.assertTrue(str(caught.exception).startswith(words), str(caught.exception))
        self.assertFalse(tunnel._session.connected)

    async def test_another_object(self) -> None:
        """A mapping that leads to another object of this process from now on is one that has changed: the next visitor
        comes there, and who is being served stays where he is."""
        server = await self.server()
        first, second, tunnel = Service(), Service(), self.tunnel(server)
        port = await tunnel.expose(first, "127.0.0.1:0", mapping="web")
        await self.echoes(port.address.port)
        session = tunnel._session
        other = FactoryListener(second, session)
        other.name = "web"
        other.open(port)
        config = session._service.config
        (mapping,) = config.mappings
        changed = mapping.model_copy(update={"local": InProcess(other.arrive, other.look)})
        report = await session._service.reload(config.model_copy(update={"mappings": (changed,)}))
        self.assertEqual(report.lines, ("mappings: web changed with 1 stream kept",))
        await self.echoes(port.address.port)
        self.assertEqual((len(first.made), len(second.made)), (1, 1))


class HalfCloser(Peer):
    """Answers with the length of what came, once that has ended."""

    def connectionMade(self) -> None:
        from twisted.internet.interfaces import IHalfCloseableProtocol
        from zope.interface import directlyProvides

        directlyProvides(self, IHalfCloseableProtocol)

    def readConnectionLost(self) -> None:
        self.transport.write(f"{len(self.received)} bytes".encode())
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing follows from it."""


class FailureTests(ApiTestCase):
    """Typed errors in one line, and nothing left behind."""

    async def failed(self, waiting: Deferred[Any], kind: type[Exception]) -> Any:
        """Return what it fails with."""
        with self.assertRaises(kind) as caught:
            await waiting
        self.assertNotIn("\n", str(caught.exception))
        return caught.exception

    async def test_wrong_token(self) -> None:
        """AuthRejected at once, for connect, expose and dial, and no attempt goes on."""
        server = await self.server()
        tunnel = self.tunnel(server, token=WRONG)
        service = Service()
        for call in (
            tunnel.connect, lambda: tunnel.expose(service, 0), lambda: tunnel.dial("127.0.0.1:1", service),
        ):  # fmt: skip
            error = await self.failed(call(), AuthRejected)
            self.assertEqual(error.code, "auth_failed")
            self.assertIn("compare the token on both sides", str(error))
            self.assertNotIn(WRONG, str(error))
        self.assertEqual(service.started, 0)
        self.assertIsNone(tunnel._session._service)

    async def test_name_in_use(self) -> None:
        """Another process with this name, which lives, is said."""
        server = await self.server()
        target, _ = await self.target()
        await self.open_client(server, self.mapping(target))
        error = await self.failed(self.tunnel(server, name="edge").expose(target, "127.0.0.1:0"), AuthRejected)
        self.assertEqual(error.code, "name_in_use")
        self.assertIn("give each a name of its own (name=)", str(error))

    async def test_port_refused(self) -> None:
        """PortUnavailable with its cure; other ports of the session stay."""
        server = await self.server(allow_ports=("20000-20001",))
        tunnel = self.tunnel(server)
        async with tunnel:
            error = await self.failed(tunnel.expose(Service(), 30000), PortUnavailable)
            self.assertEqual(error.code, "acl_denied")
            self.assertIn("have the server allow it (allow_ports, allow_bind, allow_groups)", str(error))
            self.assertTrue(tunnel.connected)
            self.assertEqual(tunnel.ports, ())

    async def test_nobody_there(self) -> None:
        """NotConnected when the time is over, with the reason of the last attempt."""
        tunnel = self.tunnel(1, timeout=0.2)
        error = await self.failed(tunnel.expose(Service()), NotConnected)
        self.assertIn("cannot reach 127.0.0.1:1: connection refused", str(error))
        self.assertIsNone(tunnel._session._service)

    async def test_taken_name(self) -> None:
        """Two ports of one session cannot have one name, and the first one does not suffer."""
        server = await self.server()
        tunnel = self.tunnel(server)
        port = await tunnel.expose(Service(), "127.0.0.1:0", mapping="web")
        error = await self.failed(tunnel.expose(Service(), 0, mapping="web"), ConfigError)
        self.assertIn("this process publishes 'web' on that server already", str(error))
        await self.echoes(port.address.port)

    async def test_no_token(self) -> None:
        """Without a token nothing begins."""
        error = await self.failed(self.tunnel(1, token=None).connect(), ConfigError)
        self.assertIn("gotunnel: token: there is none", str(error))

    async def test_cancelled(self) -> None:
        """Cancelled while it connects, or while the server has not answered, a listen leaves nothing."""
        server = await self.server()
        service = Service()
        for port in (1, server.address.port):
            tunnel = self.tunnel(port)
            listening = tunnel.expose(service, "127.0.0.1:0")
            if port == 1:
                listening.cancel()
            else:  # at the first word of the server, ahead of its answer
                tunnel.observe(lambda _, listening=listening: listening.cancel())
            await self.failed(listening, CancelledError)
            await self.until(lambda tunnel=tunnel: tunnel._session._service is None, "nothing is left")
            self.assertEqual(service.started, 0)
        await self.until(lambda: not server.hub.peers, "no port is left")


class EventTests(ApiTestCase):
    """What is heard while it runs."""

    async def test_reconnects(self) -> None:
        """A lost connection is heard of, is mended underneath, and the port is where it was."""
        self.quick()
        server = await self.server()
        tunnel = self.tunnel(server)
        heard = self.events(tunnel)
        port = await tunnel.expose(Service(), "127.0.0.1:0")
        address = port.address
        label = f"127.0.0.1:{server.address.port}"
        self.assertEqual(heard, [Connected(label), MappingOpened(port.name, address)])
        del heard[:]
        tunnel._session.link.session.control.transport.abortConnection()
        await self.until(lambda: len(heard) == 2, "lost and found")
        self.assertIsInstance(heard[0], Lost)
        self.assertEqual((heard[0].server, heard[1]), (label, Connected(label)))
        self.assertTrue(heard[0].reason)
        visitor = await self.echoes(address.port)
        self.assertEqual(port.address, address)
        visitor.hang_up()
        del heard[:]
        await tunnel.close()
        self.assertEqual(heard[0], MappingClosed(port.name, "closed by this program"))
        await self.until(lambda: heard[1:] == [Lost(label, "closed by this program")], "the end")

    async def test_site_unwell(self) -> None:
        """A site of this process that says it is not well has its port closed until it says otherwise; it is asked for
        the path that was named, and is no visitor."""
        site = Troubled()
        server = await self.server()
        tunnel = self.tunnel(server)
        heard = self.events(tunnel)
        health = {"type": "http", "path": "/well", "interval": 0.1, "failures": 1}
        port = await tunnel.expose(Site(site), "127.0.0.1:0", health=health)
        await self.until(lambda: site.asked, "it is asked")
        site.code = 503
        await self.until(lambda: isinstance(heard[-1], MappingClosed), "it is down")
        self.assertEqual(heard[-1].reason, "its target is down: it answers with status 503 instead of 200-399")
        (peer,) = server.hub.peers.values()
        await self.until(lambda: not peer.mappings[port.name].is_open, "the server has closed the port")
        with self.assertRaises(Refused):
            await self.join(Peer(), port.address.port)
        site.code = 200
        await self.until(lambda: isinstance(heard[-1], MappingOpened), "it is open")
        self.assertEqual(set(site.asked), {(b"/well", None)})
        self.assertEqual(server.hub.usage.opened, 0)

    async def test_factory_unwell(self) -> None:
        """A factory that takes nobody is not well, nor one whose protocol fails when it is connected; both are said."""
        server = await self.server()
        for make, said in (
            (lambda: None, "the factory of the listener accepts nothing now"),
            (_Fails, "the protocol of the listener failed"),
        ):
            tunnel = self.tunnel(server)
            heard = self.events(tunnel)
            health = {"type": "tcp", "failures": 1}
            port = await tunnel.expose(Service(make), "127.0.0.1:0", mapping=said[4:11], health=health)
            status = port._session.link.published.statuses[port.name]
            await self.until(lambda status=status: status.down is not None, "it is down")
            self.assertEqual(status.down, said)
            self.assertEqual([type(each) for each in heard].count(MappingOpened), 0)
            await port.stopListening()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_endpoint_unwell(self) -> None:
        """An endpoint is connected to see whether what stands behind it is well, and its reason is told."""
        server = await self.server()
        tunnel = self.tunnel(server)
        listening = reactor.listenTCP(free_port(self), Service(), interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        where = TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port)
        port = await tunnel.expose(where, "127.0.0.1:0", health={"type": "tcp", "interval": 0.1, "failures": 1})
        status = port._session.link.published.statuses[port.name]
        visitor = await self.echoes(port.address.port)
        self.assertIsNone(status.down)
        visitor.transport.loseConnection()
        await listening.stopListening()
        await self.until(lambda: status.down is not None, "it is down")
        self.assertIn("connection refused", str(status.down))

    async def test_never_connected(self) -> None:
        """A server that is not there is heard of once, and who listens does not hear himself out."""
        self.quick()
        tunnel = self.tunnel(1, timeout=0.2)
        heard = self.events(tunnel)
        stop = tunnel.observe(_raise)
        with self.assertRaises(NotConnected):
            await tunnel.connect()
        stop()
        self.assertEqual(heard, [Lost("127.0.0.1:1", "cannot reach 127.0.0.1:1: connection refused")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_switched_off(self) -> None:
        """A port that an operator of the server closes to visitors is heard of, also over a loss of the connection, and
        so is its opening."""
        self.quick()
        server = await self.server()
        tunnel = self.tunnel(server, name="edge")
        heard = self.events(tunnel)
        port = await tunnel.expose(Service(), "127.0.0.1:0")
        await switch_mapping(server.hub, "edge", port.name, off=True)
        closed = MappingClosed(port.name, "the server lets no visitor in: switched off by an operator")
        await self.until(lambda: heard[-1] == closed, "it is closed")
        tunnel._session.link.session.control.transport.abortConnection()
        await self.until(lambda: isinstance(heard[-1], Connected), "it is back")
        await self.until(lambda: tunnel._session.link.published.statuses[port.name].shut, "it is off still")
        del heard[:]
        await switch_mapping(server.hub, "edge", port.name, off=False)
        await self.until(lambda: heard == [MappingOpened(port.name, port.address)], "it is open, and was not before")

    async def test_target_down(self) -> None:
        """A target that is probed closes its port when it goes, and opens it again."""
        target = Service()
        listening = reactor.listenTCP(free_port(self), target, interface="127.0.0.1")
        number = listening.getHost().port
        server = await self.server()
        tunnel = self.tunnel(server)
        heard = self.events(tunnel)
        health = {"type": "tcp", "interval": 0.1, "failures": 1}
        port = await tunnel.expose(number, "127.0.0.1:0", health=health)
        await listening.stopListening()
        await self.until(lambda: isinstance(heard[-1], MappingClosed), "it is closed")
        self.assertIn("its target is down: connection refused", heard[-1].reason)
        listening = reactor.listenTCP(number, target, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        await self.until(lambda: isinstance(heard[-1], MappingOpened), "it is open")
        self.assertEqual(heard[-1].address, port.address)


class DrainTests(ApiTestCase):
    """What becomes of visitors when a port is closed."""

    async def test_visitors_stay(self) -> None:
        """Without a time to drain they stay, as with Twisted's own ports, and the session until they have left."""
        server = await self.server()
        tunnel = self.tunnel(server)
        port = await tunnel.expose(Service(), "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        session = tunnel._session
        await port.stopListening()
        refused = Peer()
        with self.assertRaises(Exception):  # noqa: B017 - whatever the kernel says
            await self.join(refused, port.address.port)
        visitor.transport.write(b" again")
        await self.until(lambda: visitor.received == b"hello again", "the echo")
        self.assertTrue(session.connected)
        visitor.transport.loseConnection()
        await self.until(lambda: session._service is None, "the end of the session")

    async def test_drained(self) -> None:
        """With one it is waited for those who finish, and the others are cut."""
        server = await self.server()
        tunnel = self.tunnel(server, drain=5.0)
        async with tunnel:
            port = await tunnel.expose(Service(), "127.0.0.1:0")
            visitor = await self.echoes(port.address.port)
            heard = self.events(tunnel)
            stopping = port.stopListening()
            await self.until(lambda: heard, "the port is closed")
            self.assertFalse(stopping.called)
            visitor.transport.loseConnection()
            await stopping
            port = await tunnel.expose(Service(), "127.0.0.1:0", drain=0.2)
            visitor = await self.echoes(port.address.port)
            await port.stopListening()
            await self.until(lambda: visitor.ended, "he is cut")
            self.assertTrue(visitor.was_reset)

    async def test_published_again(self) -> None:
        """A name that is published again before its former visitors have finished: the time that these had does not cut
        the new ones."""
        server = await self.server()
        async with self.tunnel(server) as tunnel:
            former = await tunnel.expose(Service(), "127.0.0.1:0", mapping="web", drain=0.2)
            await self.echoes(former.address.port)
            closing = former.stopListening()
            port = await tunnel.expose(Service(), "127.0.0.1:0", mapping="web")
            visitor = await self.echoes(port.address.port)
            await closing
            visitor.transport.write(b" again")
            await self.until(lambda: visitor.received == b"hello again" or visitor.ended, "the echo")
            self.assertIsNone(visitor.ended)
            await port.stopListening()
            self.assertEqual(tunnel._session._last, {})

    async def test_told_in_order(self) -> None:
        """Its closing is observed before its next opening, even if the answers of the server arrive together."""
        server = await self.server()
        async with self.tunnel(server) as tunnel:
            heard = self.events(tunnel)
            former = await tunnel.expose(Service(), "127.0.0.1:0", mapping="web")
            session, published = tunnel._session, tunnel._session.link.published
            first = MappingOpened("web", former.address)
            await self.until(lambda: first in heard, "it is observed")
            held = reactor.callLater(3600, lambda: None)
            session._looking = held  # nobody looks until both answers are there
            closing = former.stopListening()
            opening = tunnel.expose(Service(), "127.0.0.1:0", mapping="web")
            await self.until(lambda: "web" not in published.closing, "the first answer")
            await self.until(lambda: published.statuses["web"].standing is Standing.OPEN, "the second one")
            held.cancel()
            session._looking = None
            session._noticed()
            await closing
            port = await opening
            opened, closed = MappingOpened("web", port.address), MappingClosed("web", "closed by this program")
            self.assertEqual(heard[-3:], [first, closed, opened])

    async def test_closed_behind_the_end(self) -> None:
        """A tunnel that is closed when its session has ended, as at the end of a process, closes each of its ports."""
        server = await self.server()
        tunnel, services = self.tunnel(server), [Service() for _ in range(3)]
        for service in services:
            await tunnel.expose(service, "127.0.0.1:0")
        session = tunnel._session
        await session.end()
        await tunnel.close()
        self.assertEqual((tunnel.ports, [service.started for service in services]), ((), [0, 0, 0]))
        self.assertEqual((session._holds, session._mappings), (0, {}))

    async def test_stopped_in_order(self) -> None:
        """When the process stops, the server closes the port at once, and keeps nothing for a time of grace; a visitor
        has his time all the same."""
        server = await self.server()
        tunnel = self.tunnel(server, drain=5.0)
        port = await tunnel.expose(Service(), "127.0.0.1:0")
        visitor = await self.echoes(port.address.port)
        stopped = tunnel._session._shutdown()
        await self.until(lambda: not server.hub.ports._ports, "the port is closed")
        with self.assertRaises(Refused):
            await self.join(Peer(), port.address.port)
        visitor.transport.write(b" again")
        await self.until(lambda: visitor.received == b"hello again", "the echo")
        self.assertFalse(stopped.called)
        visitor.transport.loseConnection()
        await stopped
        await self.until(lambda: not server.hub.peers, "nothing is kept for it")


class _Fails(Peer):
    def connectionMade(self) -> None:
        raise RuntimeError("a protocol")


class Troubled(Resource):
    """A site that answers with a code."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.code = 200
        self.asked: list[tuple[bytes, str | None]] = []

    def render_GET(self, request: Request) -> bytes:
        self.asked.append((request.path, request.getClientIP()))
        request.setResponseCode(self.code)
        return b""


def _raise(event: object) -> None:
    raise RuntimeError("an observer")
