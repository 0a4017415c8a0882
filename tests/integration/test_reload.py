"""Configurations that change under real connections: what comes, what goes, and what notices nothing."""

from __future__ import annotations

import errno
import threading
from typing import Any

from twisted.internet.error import ConnectError

from gotunnel.address import HostPort
from gotunnel.client import pace
from gotunnel.client.service import ClientService
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import ClientConfig, LimitsConfig, PenaltiesConfig, ServerConfig
from gotunnel.core.outcome import Outcome
from gotunnel.errors import ConfigError, GotunnelError
from gotunnel.net.certificates import TlsFilesError
from gotunnel.server import clientlogin
from gotunnel.server.service import ServerService
from gotunnel.wire.handshake import derive_key
from tests.certificates import Authority
from tests.ports import free_port

from .base import TOKEN, Peer
from .test_forwards import ForwardCase

OTHER = "c94e01b7d6f85a2338e07b1f6ad95c42"


class ReloadCase(ForwardCase):
    """A server and clients whose configuration is replaced."""

    def setUp(self) -> None:
        super().setUp()
        self.quick()
        self.patch(pace, "AUTH_PAUSE", 0.05)
        self.patch(clientlogin, "RETRY_AFTER_AUTH", 0.05)

    @staticmethod
    async def reload(service: Any, **keys: Any) -> tuple[str, ...]:
        """Give a role these keys in place of what it has; return the lines of the report."""
        config = service._settings
        report = await service.reload(type(config).model_validate({**ReloadCase.keys(service), **keys}))
        assert report.applied
        return tuple(report.lines)

    @staticmethod
    def keys(service: Any) -> dict[str, Any]:
        """Return what a service's configuration says."""
        return {name: getattr(service._settings, name) for name in service._settings.model_fields_set}

    async def denied(self, port: int) -> None:
        """A visitor of this port is reset, perhaps before he knows that he is connected."""
        try:
            visitor = await self.connect(port)
        except ConnectError as error:
            self.assertEqual(error.osError, errno.ECONNRESET)
        else:
            await self.reset(visitor)

    async def talks(self, visitor: Peer, words: bytes = b"still there") -> None:
        """This one is served as before."""
        visitor.received = b""
        visitor.transport.write(words)
        await self.until(lambda: visitor.received == words or visitor.ended, "the echo")
        self.assertEqual((visitor.received, visitor.ended), (words, None))

    async def reset(self, visitor: Peer) -> None:
        """This one is cut."""
        await self.until(lambda: visitor.ended, "the visitor's end")
        self.assertTrue(visitor.was_reset, visitor.ended)

    async def refused(self, port: int) -> None:
        """Nobody listens there, from now or from soon on."""

        async def nobody() -> bool:
            try:
                (await self.connect(port)).hang_up()
            except Exception:  # noqa: BLE001 - whichever way it is refused
                return True
            return False

        for _ in range(500):
            if await nobody():
                return
            await self.pause(0.01)
        self.fail(f"port {port} is open")


class WayTests(ReloadCase):
    """What a restart is needed for is tried, with all else, before anything is taken up."""

    async def refuses(self, service: Any, broken: str, **keys: Any) -> None:
        """A reload with these keys, and another time to drain, is refused for the file `broken` and changes nothing."""
        before = service._settings
        config = type(before).model_validate({**self.keys(service), "drain_timeout": 77, **keys})
        with self.assertRaises(GotunnelError) as caught:
            await service.reload(config)
        self.assertIn(broken, str(caught.exception))
        self.assertIs(service._settings, before)

    def broken_file(self) -> str:
        path = self.folder / "broken.pem"
        path.write_text("no certificate")
        return str(path)

    async def test_listener(self) -> None:
        """A listener whose certificate cannot be used is refused; one that can be made waits for a restart, and is not
        listening meanwhile."""
        server = await self.server()
        broken, there = self.broken_file(), {"plugin": "websocket", "listen": "127.0.0.1:0"}
        await self.refuses(server, broken, listeners=[there, {**there, "cert": broken, "key": broken}])
        cert, key = map(str, Authority(self.folder).issue("localhost"))
        lines = await self.reload(server, listeners=[{**there, "cert": cert, "key": key}], drain_timeout=78)
        self.assertEqual(lines, ("changed: server.drain_timeout", "server.listeners changed: needs a restart"))
        self.assertEqual((server.drain_timeout, server._listeners), (78, []))

    async def test_transport(self) -> None:
        """The same for a client's way, whose servers wait with it; taken away again it needs nothing."""
        server = await self.server()
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        broken = self.broken_file()
        await self.refuses(client, broken, transport={"plugin": "websocket", "ca": broken})
        lines = await self.reload(client, transport={"plugin": "websocket"}, drain_timeout=78)
        self.assertEqual(lines, ("changed: client.drain_timeout", "client.transport changed: needs a restart"))
        self.assertEqual((client.drain_timeout, client._settings.transport), (78, None))
        self.assertTrue(client.link.session)


class ClientTests(ReloadCase):
    """A client's file changes."""

    async def begin(self, **keys: Any) -> tuple[ServerService, ClientService]:
        """Start both ends with the mappings `one` and `two`."""
        self.target_port, self.visited = await self.target()
        server = await self.server()
        mappings = self.mapping(self.target_port, "one"), self.mapping(self.target_port, "two")
        return server, await self.open_client(server, *mappings, **keys)

    async def test_mappings(self) -> None:
        """One comes, one stays, one goes: the session is the same, who is there is served, new visitors of the one that
        is gone are refused, and who is there has `drain_timeout` to finish."""
        server, client = await self.begin(drain_timeout=0.6)
        session = client.link.session
        kept = [await self.echoes(self.port_of(client, "one")) for _ in range(3)]
        port = self.port_of(client, "two")
        gone = await self.echoes(port)
        one, _ = client._settings.mappings
        lines = await self.reload(client, mappings=(self.mapping(self.target_port, "three"), one))
        self.assertEqual(
            lines, ("mappings: +three added, one unchanged with 3 streams kept, two removed, draining 1",)
        )
        await self.refused(port)
        await self.talks(gone)
        await self.until(lambda: self.is_open(client), "the new one is open")
        await self.echoes(self.port_of(client, "three"))
        await self.reset(gone)
        await self.said("1 visitors of two, which was removed, were disconnected")
        await self.until(lambda: server.hub.live == client.usage.live == 4, "he is counted at both ends")
        self.assertEqual(server.hub.outcomes[Outcome.DRAINED], 1)
        self.assertEqual(server.hub.outcomes, client.usage.outcomes)
        for visitor in kept:
            await self.talks(visitor)
        self.assertIs(client.link.session, session)
        self.assertEqual(set(server.hub.peers["edge"].mappings), {"one", "three"})

    async def test_back_in_time(self) -> None:
        """A mapping that comes back before its visitors' time is over has lost none of them."""
        _, client = await self.begin(drain_timeout=0.3)
        visitor = await self.echoes(self.port_of(client, "two"))
        both = client._settings.mappings
        await self.reload(client, mappings=both[:1])
        await self.reload(client, mappings=both)
        await self.pause(0.5)
        await self.talks(visitor)
        await self.until(lambda: self.is_open(client), "it is open")
        await self.echoes(self.port_of(client, "two"))

    async def test_another_target(self) -> None:
        """New visitors reach the new target, who is there stays with the old one; the port is not bound anew."""
        server, client = await self.begin()
        port = self.port_of(client, "one")
        old = await self.echoes(port)
        listener = server.hub.peers["edge"].mappings["one"]._listening
        other, seen = await self.target()
        mappings = self.mapping(other, "one"), client._settings.mappings[1]
        lines = await self.reload(client, mappings=mappings)
        self.assertEqual(lines, ("mappings: two unchanged, one changed with 1 stream kept",))
        await self.echoes(port)
        self.assertEqual(len(seen), 1)
        await self.talks(old)
        self.assertIs(server.hub.peers["edge"].mappings["one"]._listening, listener)

    async def test_ports_swapped(self) -> None:
        """Two mappings take each other's port, at once; visitors of both stay."""
        _, client = await self.begin()
        target, _ = await self.target()
        ports = [self.port_of(client, name) for name in ("one", "two")]
        fixed = self.mapping(self.target_port, "one", ports[0]), self.mapping(target, "two", ports[1])
        await self.reload(client, mappings=fixed)
        await self.until(lambda: self.is_open(client), "both are open")
        here = [await self.echoes(port) for port in ports]
        swapped = self.mapping(self.target_port, "one", ports[1]), self.mapping(target, "two", ports[0])
        lines = await self.reload(client, mappings=swapped)
        self.assertEqual(lines, ("mappings: one, two opened anew with 2 streams kept",))
        await self.until(lambda: self.is_open(client), "both are open again")
        self.assertEqual([self.port_of(client, name) for name in ("one", "two")], ports[::-1])
        for visitor in here:
            await self.talks(visitor)
        self.assertEqual([line for line in self.lines() if "refused" in line], [])

    async def test_many(self) -> None:
        """Hundreds that go, and others that come, keep within what a server lets a client ask for at a time."""
        target, _ = await self.target()
        server = await self.server(limits={"mappings": 4000, "messages": 10_000})
        many = [self.mapping(target, f"m{number}") for number in range(300)]
        client = await self.open_client(server, *many)
        others = tuple(self.mapping(target, f"n{number}") for number in range(300))
        lines = await self.reload(client, mappings=(many[0], *others))
        self.assertEqual(lines, ("mappings: +300 added, m0 unchanged, 299 removed",))
        names = {mapping.name for mapping in (many[0], *others)}
        await self.until(lambda: set(server.hub.peers["edge"].mappings) == names, "the others")
        await self.until(lambda: self.is_open(client), "they are open")
        self.assertEqual(sum("connected to the server" in line for line in self.lines()), 1)

    async def test_health(self) -> None:
        """A target that is down, and is not probed any more, is open again; one that is to be probed goes down."""
        _, client = await self.begin()
        nobody = free_port(self)
        probed = {"type": "tcp", "interval": 0.1, "failures": 1, "successes": 1}
        first, second = client._settings.mappings
        down = self.mapping(nobody, "one", health=probed)
        await self.reload(client, mappings=(down, second))
        await self.said("mapping one of client edge is down")
        slower = self.mapping(nobody, "one", health={**probed, "interval": 0.2})
        before = len(self.lines())
        await self.reload(client, mappings=(slower, second))
        await self.pause(0.5)
        self.assertEqual([line for line in self.lines()[before:] if "is up" in line or "is down" in line], [])
        await self.reload(client, mappings=(first, second))
        await self.said("mapping one of client edge is up")
        await self.echoes(self.port_of(client, "one"))

    async def test_forwards(self) -> None:
        """Forwards come, go and lead elsewhere; who is there stays with what he has."""
        target, _ = await self.target()
        other, seen = await self.target()
        server = await self.server(allow_dial=[f"127.0.0.1:{target}", f"127.0.0.1:{other}"])
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}", name="f"), mappings=())
        port = client.links.forwards.address("f").port
        here = await self.echoes(port)
        changed = self.forward(f"127.0.0.1:{other}", name="f")
        lines = await self.reload(client, forwards=(changed, self.forward(f"127.0.0.1:{target}", name="g")))
        self.assertEqual(lines, ("forwards: +g added, f changed with 1 stream kept",))
        await self.echoes(port)
        self.assertEqual(len(seen), 1)
        await self.echoes(client.links.forwards.address("g").port)
        lines = await self.reload(client, forwards=(self.forward(f"127.0.0.1:{target}", name="g"),))
        self.assertIn("g unchanged with 1 stream kept, f removed with 2 streams kept", lines[0])
        await self.refused(port)
        await self.talks(here)

    async def test_first_forward(self) -> None:
        """A client that had none serves one."""
        server, client = await self.begin()
        target, _ = await self.target()
        await self.reload(server, allow_dial=(f"127.0.0.1:{target}",))
        await self.reload(client, forwards=(self.forward(f"127.0.0.1:{target}", name="f"),))
        await self.echoes(client.links.forwards.address("f").port)

    async def test_nodes(self) -> None:
        """Nodes are announced anew, and with none left nobody is led here."""
        server, client = await self.begin()
        await self.reload(server, allow_nodes=("node-*",))
        nodes = [{"match": ["node-1"], "allow_ports": [10250]}]
        config = ClientConfig.model_validate({**self.keys(client), "nodes": nodes})
        self.assertEqual((await client.reload(config)).lines, ("changed: client.nodes",))
        await self.until(lambda: tuple(server.hub.nodes.announced("edge")) == ("node-1",), "it is announced")
        await self.reload(client, nodes=())
        await self.until(lambda: not server.hub.nodes.announced("edge"), "it is not any more")

    async def test_another_server(self) -> None:
        """The client moves; who is served by way of the old server stays, whose ports are free at once."""
        first, client = await self.begin()
        second = await self.server()
        port = self.port_of(client, "one")
        here = await self.echoes(port)
        lines = await self.reload(client, server_addr=HostPort("127.0.0.1", second.address.port))
        self.assertEqual(lines, ("changed, and opened anew: client.server_addr",))
        await self.until(lambda: "edge" in second.hub.peers and self.is_open(client), "it is open there")
        await self.until(lambda: "edge" not in first.hub.peers or not first.hub.peers["edge"].mappings, "gone here")
        await self.echoes(self.port_of(client, "one"))
        await self.talks(here)

    async def test_another_name(self) -> None:
        """Under another name it has the same ports, without a time of grace to wait for."""
        server, client = await self.begin()
        ports = [self.port_of(client, name) for name in ("one", "two")]
        fixed = tuple(self.mapping(self.target_port, n, p) for n, p in zip(("one", "two"), ports, strict=True))
        await self.reload(client, mappings=fixed)
        await self.until(lambda: self.is_open(client), "fixed ports")
        here = await self.echoes(ports[0])
        await self.reload(client, name="renamed")
        await self.until(lambda: set(server.hub.peers) == {"renamed"} and self.is_open(client), "it is renamed")
        self.assertEqual([self.port_of(client, name) for name in ("one", "two")], ports)
        await self.talks(here)
        await self.echoes(ports[0])

    async def test_token_mended(self) -> None:
        """A client that is not let in tries the new token at once, however long it meant to wait."""
        self.patch(pace, "AUTH_PAUSE", 3600.0)
        server = await self.server()
        target, _ = await self.target()
        client = self.client(server, self.mapping(target), token=OTHER)
        await self.said("does not let this client in")
        lines = await self.reload(client, token=TOKEN)
        self.assertEqual(lines, ("changed, for connections from now on: client.token",))
        await self.until(lambda: self.is_open(client), "it is in")

    async def test_files_that_cannot_be_used(self) -> None:
        """A certificate that is not there refuses all of it: nothing has changed, not even what could."""
        _, client = await self.begin()
        visitor = await self.echoes(self.port_of(client, "one"))
        wrong = self.folder / "wrong.pem"
        wrong.write_text("no certificate")
        before = client._settings
        tls = before.tls.model_copy(update={"ca": wrong})
        with self.assertRaises(TlsFilesError):
            await self.reload(client, tls=tls, mappings=before.mappings[:1], drain_timeout=7)
        self.assertIs(client._settings, before)
        self.assertTrue(self.is_open(client))
        self.assertEqual(set(client.link.published.statuses), {"one", "two"})
        await self.talks(visitor)

    async def test_restart(self) -> None:
        """What needs one is said each time, and does not happen."""
        _, client = await self.begin()
        for _ in range(2):
            lines = await self.reload(client, relay="portable" if self.relay == "auto" else "auto", dial_timeout=3)
            self.assertEqual(lines[-1], "client.relay changed: needs a restart")
        self.assertEqual(client.link.session.legs._dial_timeout, 3)
        self.assertEqual(client._settings.relay, self.relay)

    async def test_stopping(self) -> None:
        """A process that stops takes nothing up."""
        _, client = await self.begin(drain_timeout=5)
        visitor = await self.echoes(self.port_of(client, "one"))
        stopping = client.stopService()
        with self.assertRaises(GotunnelError):
            await client.reload(client._settings)
        visitor.hang_up()
        await stopping


class PortableClientTests(ClientTests):
    """The same with the portable relay."""

    relay = "portable"


class ServerTests(ReloadCase):
    """A server's configuration changes."""

    async def begin(self, **keys: Any) -> tuple[ServerService, ClientService]:
        """Start both ends, with two mappings."""
        self.target_port, _ = await self.target()
        server = await self.server(**keys)
        mappings = self.mapping(self.target_port, "one"), self.mapping(self.target_port, "two")
        return server, await self.open_client(server, *mappings)

    async def test_rights(self) -> None:
        """A port that is not allowed any more closes, with who is there; the other stays, with who is there."""
        server, client = await self.begin()
        ports = [self.port_of(client, name) for name in ("one", "two")]
        stays, goes = [await self.echoes(port) for port in ports]
        lines = await self.reload(server, allow_ports=(str(ports[0]),))
        self.assertEqual(lines, ("changed: server.allow_ports", "mappings that are not allowed any more: two of edge"))
        await self.reset(goes)
        await self.refused(ports[1])
        await self.talks(stays)
        await self.until(lambda: self.is_open(client) or "one" in server.hub.peers["edge"].mappings, "one is there")

    async def test_identities(self) -> None:
        """A client of the list that goes is cut, one that comes gets in, the others notice nothing."""
        server, shared = await self.begin(clients=({"name": "worker", "token": OTHER},))
        port, _ = await self.target()
        worker = await self.open_client(server, self.mapping(port), name="worker", token=OTHER)
        stays, goes = await self.echoes(self.port_of(shared, "one")), await self.echoes(self.port_of(worker))
        session = shared.link.session
        office = {"name": "office", "token": OTHER[::-1]}
        lines = await self.reload(server, clients=(office,))
        self.assertEqual(lines, ("clients: +office added, worker removed", "clients that may not stay: worker"))
        await self.reset(goes)
        await self.talks(stays)
        self.assertIs(shared.link.session, session)
        await self.open_client(server, self.mapping(port), name="office", token=OTHER[::-1])

    async def test_shared_token(self) -> None:
        """Who came in with the old one is cut, and back with the new one."""
        server, client = await self.begin()
        visitor = await self.echoes(self.port_of(client, "one"))
        lines = await self.reload(server, token=OTHER)
        self.assertEqual(lines, ("changed: server.token", "clients that may not stay: edge"))
        await self.reset(visitor)
        await self.said("does not let this client in")
        await self.reload(client, token=OTHER)
        await self.until(lambda: client.link.session is not None and self.is_open(client), "it is back")

    async def test_clients_file(self) -> None:
        """Another file takes the place of the first one; it is watched, and the first one is not any more."""
        first, second = self.folder / "first.json", self.folder / "second.json"
        edit_clients(first, lambda _: [self.entry("edge", TOKEN)])
        edit_clients(second, lambda _: [self.entry("edge", TOKEN), self.entry("office", OTHER)])
        server, client = await self.begin(token=None, clients_file=first)
        visitor = await self.echoes(self.port_of(client, "one"))
        self.assertEqual(await self.reload(server, clients_file=second), ("changed: server.clients_file",))
        await self.talks(visitor)
        self.assertTrue(server.hub.knows("office"))
        edit_clients(first, lambda _: [])
        edit_clients(second, lambda _: [self.entry("edge", TOKEN), self.entry("late", OTHER)])
        await self.until(lambda: server.hub.knows("late"), "it is looked at")
        await self.talks(visitor)
        second.write_text("{")
        before = server._settings
        with self.assertRaises(ConfigError):
            await self.reload(server, allow_ports=("1",))
        self.assertIs(server._settings, before)
        await self.talks(visitor)

    @staticmethod
    def entry(name: str, token: str) -> FileIdentity:
        """Return a client of the clients file."""
        return FileIdentity(name=name, keys=(derive_key(token, name),))

    async def test_limits(self) -> None:
        """They hold for the next visitor, and for clients that are there."""
        server, client = await self.begin()
        here = await self.echoes(self.port_of(client, "one"))
        lines = await self.reload(server, limits=LimitsConfig(visitors=1, legs=7, unauthenticated=9))
        self.assertEqual(
            lines, ("changed: server.limits.unauthenticated, server.limits.legs, server.limits.visitors",)
        )
        await self.denied(self.port_of(client, "one"))
        await self.talks(here)
        session = server.hub.peers["edge"].session
        self.assertEqual((session.most_legs, server.hub.most_strangers), (7, 9))
        await self.reload(server, limits=LimitsConfig(streams=1))
        await self.denied(self.port_of(client, "two"))

    async def test_leg_wait(self) -> None:
        """Who waits already waits no longer than is said now."""
        server, client = await self.begin(leg_wait=100)
        port = self.port_of(client, "one")
        await self.stop(client)
        visitor = await self.connect(port)
        await self.until(lambda: server.hub.peers["edge"].pending, "he waits")
        await self.reload(server, leg_wait=0.1)
        await self.reset(visitor)

    async def test_penalties(self) -> None:
        """Off and on again, with what they cost now."""
        server, _ = await self.begin()
        refusals = server._reception.refusals
        self.assertEqual(
            await self.reload(server, penalties=PenaltiesConfig(enabled=False)), ("changed: server.penalties.enabled",)
        )
        self.assertIsNone(refusals._penalties)
        await self.reload(server, penalties=PenaltiesConfig(auth_failure=9, minimum=1, maximum=99))
        self.assertEqual((refusals._penalties._minimum, refusals._penalties._maximum), (1, 99))

    async def test_certificate(self) -> None:
        """Another path: new connections see that certificate, the session stays; authorities that do not vouch for a
        client cut it."""
        authority = Authority(self.folder)
        cert, key = authority.issue("127.0.0.1")
        server, client = await self.begin()
        here = await self.echoes(self.port_of(client, "one"))
        session, before = client.link.session, server.hub.tls.leg_binding
        tls = server._settings.tls.model_copy(update={"cert": cert, "key": key})
        lines = await self.reload(server, tls=tls)
        self.assertEqual(lines, ("changed, for connections from now on: server.tls.cert, server.tls.key",))
        self.assertNotEqual(server.hub.tls.leg_binding, before)
        for _ in range(5):
            await self.echoes(self.port_of(client, "one"))
        await self.talks(here)
        self.assertIs(client.link.session, session)
        lines = await self.reload(server, tls=tls.model_copy(update={"client_ca": authority.file}))
        self.assertEqual(lines, ("changed: server.tls.client_ca", "clients that may not stay: edge"))
        await self.reset(here)

    async def test_egress(self) -> None:
        """The socket moves."""
        first, second = self.folder / "a.sock", self.folder / "b.sock"
        server, _ = await self.begin()
        for path in (first, second):
            config = ServerConfig.model_validate(
                {**self.keys(server), "egress": {"listen": f"unix:{path}", "default": "direct"}}
            )
            await server.reload(config)
            self.assertTrue(path.is_socket())
        self.assertFalse(first.exists())
        await self.reload(server, egress=None)
        self.assertFalse(second.exists())

    async def test_version_1(self) -> None:
        """It is let in, and is not any more."""
        server, _ = await self.begin()
        await self.reload(server, v1={"enabled": True, "token": OTHER})
        assert server.hub.v1 is not None
        server.hub.v1.check_token(OTHER)
        await self.reload(server, v1={"enabled": True, "token": OTHER[::-1], "allow_ports": ("5000",)})
        server.hub.v1.check_token(OTHER[::-1])
        self.assertEqual(str(server.hub.v1.rights.allow_ports), "5000")
        await self.reload(server, v1={})
        self.assertIsNone(server.hub.v1)


class FromFileTests(ReloadCase):
    """Files that are read again."""

    async def begin(self) -> ServerService:
        """Start a server whose file is `self.next`, or is refused."""
        self.next: Any = None
        self.reads = 0
        self.gate = threading.Event()
        self.gate.set()
        server = await self.server()

        def read() -> Any:
            self.reads += 1
            self.gate.wait(10)
            if isinstance(self.next, Exception):
                raise self.next
            return self.next

        server.source = read
        self.next = server._settings
        return server

    async def test_lines(self) -> None:
        """What came of it stands in the report and in the log."""
        server = await self.begin()
        self.next = server._settings.model_copy(update={"drain_timeout": 3.0, "relay": "fast"})
        report = await server.reload_from_file()
        lines = ("changed: server.drain_timeout", "server.relay changed: needs a restart")
        self.assertEqual((report.applied, report.lines), (True, lines))
        for line in lines:
            await self.said("configuration read again: " + line)
        self.assertEqual(server.drain_timeout, 3.0)
        self.next = server._settings
        self.assertEqual((await server.reload_from_file()).lines, ("nothing has changed",))

    async def test_refused(self) -> None:
        """A file that cannot be taken is a line for each mistake, and changes nothing."""
        server = await self.begin()
        self.next = GotunnelError("a.yaml:1: one\na.yaml:2: two")
        told: list[bool] = []
        server.watchers.append(told.append)
        report = await server.reload_from_file()
        self.assertEqual((report.applied, report.lines), (False, ("a.yaml:1: one", "a.yaml:2: two")))
        await self.said("configuration rejected, everything stays as it was: a.yaml:2: two")
        self.assertEqual(told, [True, False])

    async def test_several_at_once(self) -> None:
        """Those who ask while one is under way are served by one more."""
        server = await self.begin()
        self.gate.clear()
        asked = [server.reload_from_file()]
        await self.until(lambda: self.reads, "it is being read")
        asked += [server.reload_from_file() for _ in range(9)]
        self.gate.set()
        for each in asked:
            self.assertTrue((await each).applied)
        self.assertEqual(self.reads, 2)

    async def test_without_a_file(self) -> None:
        """A process that has none says so."""
        server = await self.server()
        report = await server.reload_from_file()
        self.assertEqual(report.lines, ("this process was started without a configuration file",))
