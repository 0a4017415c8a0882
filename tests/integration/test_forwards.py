"""Forwards over real connections: a client's port that leads behind the server, or to another client."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from gotunnel.address import HostPort, UnixPath
from gotunnel.admin.face import Refused
from gotunnel.client import forwards
from gotunnel.client.forwardview import ForwardsView
from gotunnel.client.service import ClientService
from gotunnel.client.view import ClientView
from gotunnel.config.model import ForwardConfig, LimitsConfig, MappingConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import SWITCHED_OFF_AT_SERVER
from gotunnel.errors import RemoteProtocolError
from gotunnel.net import persistent, unixlisten
from gotunnel.net.dialled import DialledStream
from gotunnel.net.quiet import OneProtocol
from gotunnel.server.credentials import Credentials
from gotunnel.server.switching import switch_mapping
from gotunnel.tap.acts import client_acts
from gotunnel.wire.legbodies import OpenBody
from tests.ports import free_port

from .base import IntegrationTestCase, Peer, reactor

MIB = 1 << 20


class ForwardCase(IntegrationTestCase):
    """What the tests below share."""

    @staticmethod
    def forward(dial: str | HostPort, listen: Any = "127.0.0.1:0", name: str = "out", **more: Any) -> ForwardConfig:
        """Return a forward from a free port."""
        return ForwardConfig.model_validate({"name": name, "listen": listen, "dial": dial, **more})

    async def connected(self, server: Any, *forwards: ForwardConfig, **config: Any) -> ClientService:
        """Start a client with forwards, and wait until they listen and it has its session."""
        client = await self.open_client(server, forwards=forwards, **config)
        await self.until(lambda: client.link.session is not None, "a session")
        return client

    @staticmethod
    def port(client: ClientService, name: str = "out") -> int:
        """Return where a forward listens."""
        address = client.links.forwards.address(name)
        assert isinstance(address, HostPort)
        return address.port

    async def refused(self, client: ClientService, code: str, name: str = "out") -> None:
        """Visit a forward, and see the visitor reset, and why."""
        seen = len(self.lines())
        visitor = await self.connect(self.port(client, name))
        await self.until(lambda: visitor.ended, "the visitor's end")
        self.assertTrue(visitor.was_reset, visitor.ended)
        await self.said("ended: refused," if code == "refused" else f"({code})", skip=seen)


class AddressTests(ForwardCase):
    """Forwards to an address behind the server."""

    async def test_echo(self) -> None:
        """Bytes go both ways, visitor after visitor on few legs, and both ends end in order."""
        target, made = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"))
        for _ in range(20):
            visitor = await self.echoes(self.port(client))
            visitor.transport.loseConnection()
            await self.until(lambda v=visitor: v.ended, "the end")  # type: ignore[misc]
        self.assertEqual(len(made), 20)
        assert client.link.session is not None
        await self.said("ended: completed", 40)
        self.assertLessEqual(client.link.session.forward_legs.legs_held, 4)
        self.assertEqual((server.hub.visitors_total, server.hub.live), (20, 0))
        self.assertEqual(server.hub.streaming, set())

    def seen_encrypted(self, client: Any) -> dict[str, bool | None]:
        """Return what the client tells an operator of each forward: is it inside TLS?"""
        return {each.name: each.encrypted for each in ClientView(client, reactor).mappings()}

    async def test_much(self) -> None:
        """8 MiB go through as they are, with TLS legs and with plain ones, where both sides agree on those."""
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",), allow_plain_legs=True)
        client = await self.connected(
            server, self.forward(f"127.0.0.1:{target}"), self.forward(f"127.0.0.1:{target}", name="bare", encrypt=False)
        )
        content = os.urandom(8 * MIB)
        for name in ("out", "bare"):
            visitor = await self.connect(self.port(client, name))
            visitor.transport.write(content)
            await self.until(lambda v=visitor: len(v.received) == len(content), "all is back")  # type: ignore[misc]
            self.assertEqual(visitor.received, content)
            visitor.transport.loseConnection()
        (session,) = server.hub._live
        self.assertEqual({leg.plain for leg in session.forward.legs}, {False, True})
        self.assertEqual(self.seen_encrypted(client), {"out": True, "bare": False})

    async def test_beyond_a_limit(self) -> None:
        """The server's log says whose visitor does not get there, and which limit leaves no room for him."""
        target, _ = await self.target()
        rule = (f"127.0.0.1:{target}",)
        for limits, words in (
            ({"visitors": 1}, "limits.visitors, 1 for this client"),
            ({"streams": 1}, "server.limits.streams, 1 in all"),
        ):  # fmt: skip
            server = await self.server(allow_dial=rule, limits=LimitsConfig(**limits))
            client = await self.connected(server, self.forward(rule[0]))
            seen = len(self.lines())
            await self.echoes(self.port(client))
            await self.refused(client, "limit")
            (line,) = [line for line in self.lines()[seen:] if "did not reach" in line]
            self.assertIn(f"of client {client.config.name} did not reach {rule[0]}: it is one more than {words}", line)

    async def test_too_many_wait(self) -> None:
        """A client's log says so when more visitors wait for a leg than may."""
        self.patch(forwards, "PENDING", 1)
        client = await self.connected(await self.server(), self.forward("127.0.0.1:1"))
        self.patch(client.links.forwards.openers, "place", client.links.forwards._lobby.wait)
        for _ in range(2):
            self.addCleanup(socket.create_connection(("127.0.0.1", self.port(client))).close)
        await self.said("of forward out was reset: 1 visitors wait for a leg")

    async def test_plain_not_allowed(self) -> None:
        """A server that allows no plain legs is not asked for any: such a forward runs inside TLS."""
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}", encrypt=False))
        self.assertEqual(self.seen_encrypted(client), {"out": True})
        await self.echoes(self.port(client))
        (session,) = server.hub._live
        self.assertEqual({leg.plain for leg in session.forward.legs}, {False})
        await self.stop(server)
        await self.until(lambda: client.link.session is None, "the client has noticed")
        self.assertEqual(self.seen_encrypted(client), {"out": None})

    async def test_nothing_is_allowed_by_default(self) -> None:
        """Without a rule every address is refused at once, and both logs say what to do."""
        target, made = await self.target()
        server = await self.server()
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"))
        await self.refused(client, "not_allowed")
        await self.said("name it in allow_dial of this client, in the server's configuration")
        await self.said("is not allowed (allow_dial of this client on the server)")
        self.assertEqual(made, [])
        cure = "name it in allow_dial of this client, in the server's configuration"
        self.assertEqual(self.reasons(client), [f"the server refused the last visitor: {cure}"])
        config = server.hub.config
        await server.reload(config.model_copy(update={"allow_dial": (f"127.0.0.1:{target}",)}))
        visitor = await self.echoes(self.port(client))
        visitor.transport.loseConnection()
        await self.until(lambda: self.reasons(client) == [""], "the last one was served")

    def reasons(self, client: ClientService) -> list[str]:
        """Return what an operator sees beside its forwards."""
        return [view.reason for view in ClientView(client, reactor).mappings() if view.kind == "forward"]

    async def test_two_servers(self) -> None:
        """Where one server does not allow it, or has no such service, each visitor is served by the other one, with all
        that he said ahead of it; where neither does, he is reset, and the log has the last word."""
        target, made = await self.target()
        rules = (f"127.0.0.1:{target}",)
        servers = [await self.server(), await self.server(allow_dial=rules)]
        client = await self.connected(
            servers[0], self.forward(f"127.0.0.1:{target}"), self.forward("127.0.0.1:1", name="none"),
            server_addr=None, servers=[server.address for server in servers],
        )  # fmt: skip
        await self.until(lambda: all(link.session for link in client.links.links), "both sessions")
        for count in range(1, 7):
            visitor = await self.echoes(self.port(client), b"%d" % count * 3000)
            visitor.transport.loseConnection()
            await self.until(lambda v=visitor: v.ended, "the end")  # type: ignore[misc]
            self.assertFalse(visitor.was_reset)
            self.assertEqual(len(made), count)
        await self.said("to another one: refused (not_allowed)")
        await self.until(lambda: client.usage.outcomes[Outcome.COMPLETED] == 6, "all six are over")
        await self.refused(client, "not_allowed", "none")
        await self.until(lambda: not any(server.hub.live for server in servers), "nobody is left")

    async def test_target_refuses(self) -> None:
        """A target that is not there resets the visitor at once, with the reason in the log."""
        port = free_port(self)
        server = await self.server(allow_dial=(f"127.0.0.1:{port}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{port}"))
        await self.refused(client, "refused")

    async def test_names(self) -> None:
        """A name that a rule allows is dialled at the address that it resolved to; one that resolves to loopback is
        not, unless a rule for that network says so."""
        target, made = await self.target()
        self.patch(socket, "getaddrinfo", names({"good.example": "127.0.0.1"}))
        narrow = await self.server(allow_dial=(f"good.example:{target}", f"none.example:{target}"))
        client = await self.connected(
            narrow,
            self.forward(f"good.example:{target}"),
            self.forward(f"none.example:{target}", name="none"),
            self.forward(f"other.example:{target}", name="other"),
        )
        await self.refused(client, "not_allowed")
        await self.refused(client, "unknown_host", "none")
        await self.refused(client, "not_allowed", "other")
        await self.said("resolves to 127.0.0.1, an address of the server itself")
        self.assertEqual(made, [])
        wide = await self.server(allow_dial=(f"good.example:{target}", f"127.0.0.0/8:{target}"))
        client = await self.connected(wide, self.forward(f"good.example:{target}"), name="second")
        await self.echoes(self.port(client))

    async def test_no_name(self) -> None:
        """What cannot be a name is refused at once: a resolver would raise, with a traceback for each visitor in the
        server's log."""
        server = await self.server(allow_dial=("10.0.0.0/8:80",))
        hosts = ("a..b", ".a", "..", "x" * 64 + ".example")
        forwards = [self.forward(HostPort(host, 80), name=host) for host in hosts]  # no file says this, a peer may
        client = await self.connected(server, *forwards)
        for host in hosts:
            await self.refused(client, "bad_request", host)

    async def test_visitor_before_the_session(self) -> None:
        """A visitor who comes while the client is away from its server waits, and is served by the next session."""
        self.quick()
        target, _ = await self.target()
        rules = (f"127.0.0.1:{target}",)
        server = await self.server(allow_dial=rules)
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"))
        await self.echoes(self.port(client))
        address = server.address
        await self.stop(server)
        await self.until(lambda: client.link.session is None, "the session is lost")
        visitor = await self.connect(self.port(client))
        visitor.transport.write(b"patience")
        await self.server(addr=address, allow_dial=rules)
        await self.until(lambda: visitor.received == b"patience", "the echo")

    async def test_kicked_while_he_waits(self) -> None:
        """An operator of the client can reset a visitor of a forward who waits for a server, by the id that he sees."""
        server = await self.server()
        client = await self.connected(server, self.forward("127.0.0.1:1"))
        await self.stop(server)
        await self.until(lambda: client.link.session is None, "the session is lost")
        visitor, view = await self.connect(self.port(client)), ClientView(client, reactor)
        await self.until(lambda: view.pending, "he waits")
        (seen,) = view.streams
        kick = client_acts(client, view)["kick"]
        self.assertEqual(kick({"stream": seen.conn}), {"stream": seen.conn, "cut": 1})
        await self.until(lambda: visitor.ended, "the reset")
        self.assertTrue(visitor.was_reset)
        self.assertEqual((view.pending, client.usage.outcomes[Outcome.STOPPED]), (0, 1))
        self.assertRaises(Refused, kick, {"stream": seen.conn})

    async def test_streams_outlive_the_session(self) -> None:
        """A control connection that breaks cuts no forwarded stream."""
        self.quick()
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"))
        visitor = await self.echoes(self.port(client))
        first = client.link.session
        assert first is not None
        first.control.transport.abortConnection()
        await self.until(lambda: client.link.session not in (None, first), "another session")
        visitor.transport.write(b" again")
        await self.until(lambda: visitor.received == b"hello again", "the echo")
        await self.echoes(self.port(client))

    async def test_both_ways_in_one_client(self) -> None:
        """Mappings and forwards live in one client, and share what it may hold of legs."""
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",), limits={"legs": 4})
        client = await self.open_client(
            server, self.mapping(target), forwards=(self.forward(f"127.0.0.1:{target}"),)
        )
        for _ in range(5):
            here, there = await self.echoes(self.port_of(client)), await self.echoes(self.port(client))
            for visitor in (here, there):
                visitor.transport.loseConnection()
        (session,) = server.hub._live
        await self.until(lambda: session.legs_held + len(session.forward.legs) <= 4, "no more legs than allowed")

    async def test_stop_resets_and_leaves_nothing(self) -> None:
        """When the client stops, its forwards close and their visitors are reset; the base class looks for the rest."""
        target, made = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"))
        port = self.port(client)
        visitor = await self.echoes(port)
        await self.stop(client)
        await self.until(lambda: visitor.ended, "his end")
        self.assertTrue(visitor.was_reset)
        await self.until(lambda: made[0].ended, "the target's end")
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", port)), 0)


class RightsTests(ForwardCase):
    """Rules that change while streams run: those that are not covered any more are cut, whatever stage they are in."""

    def allow(self, server: Any, *rules: str) -> None:
        """Let these rules take effect, as a change of the clients file would."""
        config = server.hub.config.model_copy(update={"allow_dial": rules})
        server.hub.identities_changed(Credentials(config, frozenset()).table())

    async def test_address_and_name(self) -> None:
        """By the address that was dialled: the rule of another network on the same port keeps nobody."""
        target, _ = await self.target()
        self.patch(socket, "getaddrinfo", names({"good.example": "127.0.0.1"}))
        both = (f"127.0.0.1:{target}", f"10.0.0.0/8:{target}")
        server = await self.server(allow_dial=both)
        client = await self.connected(
            server, self.forward(f"good.example:{target}"), self.forward(f"127.0.0.1:{target}", name="literal")
        )
        visitors = [await self.echoes(self.port(client, name)) for name in ("out", "literal")]
        self.allow(server, *both, "192.0.2.1:1")
        await self.pause(0.05)
        self.assertEqual([visitor.ended for visitor in visitors], [None, None])
        self.allow(server, both[1], f"nodes:{target}")
        for visitor in visitors:
            await self.until(lambda v=visitor: v.ended, "he is cut")  # type: ignore[misc]
            self.assertTrue(visitor.was_reset)
        self.assertEqual(sum("is not allowed any more" in line for line in self.lines()), 2)

    async def test_under_way(self) -> None:
        """A dial that is under way when its rule goes is given up, and its visitor reset."""
        server = await self.server(allow_dial=("mapping:home/api",))
        target, made = await self.target()
        home = await self.open_client(server, self.mapping(target, "api", clients=("edge",)), name="home")
        client = await self.connected(server, self.forward("mapping:home/api"))
        peer = server.hub.peers["home"]
        self.patch(peer.session, "serve", lambda visitor: False)
        self.patch(peer.session, "feed", lambda: None)
        visitor = await self.connect(self.port(client))
        await self.until(lambda: peer.pending, "he waits")
        self.allow(server)
        self.assertEqual(sum("is not allowed any more" in line for line in self.lines()), 1)
        await self.until(lambda: visitor.ended, "he is reset")
        await self.until(lambda: server.hub.live == 0, "nobody is left")
        self.assertEqual((made, home.running), ([], True))

    async def test_during_the_lookup(self) -> None:
        """The address that a name turns out to have is judged by the rules of then, not by those before the lookup."""
        target, made = await self.target()
        released, looking = threading.Event(), threading.Event()
        self.addCleanup(released.set)
        found = names({"good.example": "127.0.0.1"})

        def look(*asked: Any, **more: Any) -> Any:
            looking.set()
            released.wait(60)
            return found(*asked, **more)

        self.patch(socket, "getaddrinfo", look)
        both = (f"127.0.0.1:{target}", f"10.0.0.0/8:{target}")
        server = await self.server(allow_dial=both)
        client = await self.connected(server, self.forward(f"good.example:{target}"))
        visitor = await self.connect(self.port(client))
        await self.until(looking.is_set, "the name is looked up")
        self.allow(server, both[1])
        released.set()
        await self.until(lambda: visitor.ended, "he is reset")
        await self.said("ended: refused (not_allowed)")
        self.assertEqual((made, server.hub.live), ([], 0))

    async def test_during_the_connect(self) -> None:
        """The same while the connection to that address is made."""
        target, made = await self.target()
        self.patch(socket, "getaddrinfo", names({"good.example": "127.0.0.1"}))
        both = (f"127.0.0.1:{target}", f"10.0.0.0/8:{target}")
        server = await self.server(allow_dial=both)
        client = await self.connected(server, self.forward(f"good.example:{target}"))
        dialled: list[tuple[Deferred[Any], Any]] = []
        dial = server.hub.relay.dial

        def slow(*asked: Any) -> Deferred[Any]:
            dialled.append((Deferred(), dial(*asked)))
            return dialled[-1][0]

        self.patch(server.hub.relay, "dial", slow)
        visitor = await self.connect(self.port(client))
        await self.until(lambda: dialled and made, "the target is connected to")
        self.allow(server, both[1])
        told, local = dialled[0]
        told.callback(await maybeDeferred(lambda: local))
        await self.until(lambda: visitor.ended and made[0].ended, "both are reset")
        await self.said("ended: refused (not_allowed)")
        self.assertEqual((server.hub.live, server.hub.relay.locals), (0, 0))

    async def test_nonsense_shields_nobody(self) -> None:
        """A refused OPEN that names no address, on a leg whose opener does not let go of it, keeps nobody else's rights
        from changing."""
        target, _ = await self.target()
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}"))
        visitor = await self.echoes(self.port(client))
        (session,) = server.hub._live
        leg = next(iter(session.forward.legs - session.forward.streams.keys()))
        refused = DialledStream(OpenBody("c", "s", dial="::::"), 0.0)
        refused.refused = True
        session.forward.streams = {leg: refused, **session.forward.streams}
        self.allow(server)
        await self.until(lambda: visitor.ended, "he is cut")
        del session.forward.streams[leg]


class PortableAddressTests(AddressTests):
    """The same on the portable relay."""

    relay = "portable"


class ListenTests(ForwardCase):
    """Where a client listens."""

    async def test_unix(self) -> None:
        """On a unix socket of the mode that the file says, also when a dead process has left one there; it goes with
        the client."""
        target, _ = await self.target()
        path = self.folder / "s"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(os.path.relpath(path))
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        where = UnixPath(os.path.relpath(path))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}", where, socket_mode="0660"))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
        visitor = Peer()
        await UNIXClientEndpoint(reactor, where.path).connect(OneProtocol(lambda: visitor))
        visitor.transport.write(b"hello")
        await self.until(lambda: visitor.received == b"hello", "the echo")
        visitor.transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        await self.said("visitor unix of forward out ended: completed")
        await self.stop(client)
        self.assertFalse(path.exists())

    async def test_unix_removed(self) -> None:
        """A socket that somebody removes is made anew, with its mode; a file in its place is left alone until it is
        gone; a socket where nobody listens is taken over. Who was connected stays."""
        self.patch(unixlisten, "LOOK", 0.02)
        target, _ = await self.target()
        path = Path(os.path.relpath(self.folder / "s"))
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        where = UnixPath(str(path))
        client = await self.connected(server, self.forward(f"127.0.0.1:{target}", where, socket_mode="0660"))

        async def echo() -> Peer:
            visitor = Peer()
            await UNIXClientEndpoint(reactor, where.path).connect(OneProtocol(lambda: visitor))
            self.addCleanup(visitor.hang_up)
            visitor.transport.write(b"hello")
            await self.until(lambda: visitor.received == b"hello", "the echo")
            return visitor

        first = await echo()
        path.unlink()
        await self.until(path.exists, "it is made again")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
        await echo()
        path.unlink()
        path.write_text("precious")
        await self.said("was taken away and cannot be made again")
        await self.pause(0.1)
        self.assertEqual(path.read_text(), "precious")
        self.assertEqual(sum("was taken away" in line for line in self.lines()), 1)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        await self.said("it is made again", 2)
        await echo()
        first.transport.write(b"!")
        await self.until(lambda: first.received == b"hello!", "the first one's echo")
        await self.stop(client)
        self.assertFalse(path.exists())

    async def test_ipv6(self) -> None:
        """On an IPv6 address, and to one."""
        try:
            taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError as error:
            raise SkipTest(f"there is no IPv6 here: {error}") from None
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        server = await self.server(allow_dial=(f"[::1]:{port}",))
        client = await self.connected(server, self.forward(f"[::1]:{port}", "[::1]:0"))
        visitor = Peer()
        here = client.links.forwards.address("out")
        assert isinstance(here, HostPort)
        await TCP6ClientEndpoint(reactor, here.host, here.port).connect(OneProtocol(lambda: visitor))
        visitor.transport.write(b"hello")
        taken.settimeout(10)
        target, _ = await deferToThread(taken.accept)
        self.addCleanup(target.close)
        self.assertEqual(await deferToThread(target.recv, 5), b"hello")
        visitor.transport.loseConnection()

    async def test_taken(self) -> None:
        """A port or a socket that somebody has is told once, tried again, and had when it is free."""
        target, _ = await self.target()
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        regular = Path(os.path.relpath(self.folder / "file"))
        regular.write_text("precious")
        server = await self.server(allow_dial=(f"127.0.0.1:{target}",))
        self.patch(persistent, "LISTEN_AGAIN", 0.02)
        client = await self.connected(
            server,
            self.forward(f"127.0.0.1:{target}", f"127.0.0.1:{port}"),
            self.forward(f"127.0.0.1:{target}", UnixPath(str(regular)), "file"),
        )
        await self.said("cannot listen", 2)
        await self.pause(0.1)
        self.assertEqual(sum("cannot listen" in line for line in self.lines()), 2)
        self.assertEqual(regular.read_text(), "precious")
        taken.close()
        await self.until(lambda: client.links.forwards.address("out"), "it listens")
        await self.echoes(port)


class CrossingTests(ForwardCase):
    """From one client to a mapping of another one."""

    async def pair(
        self,
        rules: tuple[str, ...] = ("mapping:home/api",),
        clients: tuple[str, ...] = ("edge",),
        target: str = "mapping:home/api",
        **mapping: Any,
    ) -> tuple[ClientService, list[Any], Any]:
        """Start a server, a client "home" with the mapping "api", and one "edge" that forwards to it."""
        service, made = await self.target()
        server = await self.server(allow_dial=rules)
        where = {} if "public" in mapping else {"remote": "127.0.0.1:0"}
        api = MappingConfig.model_validate({"name": "api", "local": service, "clients": clients, **where, **mapping})
        self.home = await self.open_client(server, api, name="home")
        edge = await self.connected(server, self.forward(target))
        return edge, made, server

    async def test_echo(self) -> None:
        """Bytes go both ways and both directions end in order; the target's log line has the visitor's address."""
        edge, _, server = await self.pair()
        for _ in range(5):
            visitor = await self.echoes(self.port(edge))
            visitor.transport.loseConnection()
            await self.until(lambda v=visitor: v.ended, "the end")  # type: ignore[misc]
            self.assertFalse(visitor.was_reset)
        await self.said("ended: completed", 20)
        self.assertEqual(server.hub.live, 0)

    async def test_what_the_target_hears_of_the_visitor(self) -> None:
        """It is the address that the server sees of the client that asks; what that client says of its own visitor the
        other one does not hear: its target may judge by it."""
        edge, _, server = await self.pair()
        heard = self.patched_sources()
        visitor = await self.echoes(self.port(edge))
        session = server.hub.peers["edge"].session
        (source,) = heard
        self.assertEqual(source, session.address)
        self.assertNotEqual(source, f"127.0.0.1:{visitor.transport.getHost().port}")

    def patched_sources(self) -> list[str]:
        """Return a list that gets what the other client hears of each visitor's address."""
        heard: list[str] = []
        legs = self.home.link.session.legs
        route = legs.route
        self.patch(legs, "route", lambda leg, opening: (heard.append(opening.src), route(leg, opening))[1])
        return heard

    async def test_half_close(self) -> None:
        """Who has said all still hears the answer."""
        edge, made, _ = await self.pair()
        visitor = await self.connect(self.port(edge))
        visitor.transport.write(b"question")
        await self.until(lambda: made and made[0].received == b"question", "the question")
        made[0].transport.write(b" and an answer")
        made[0].transport.loseConnection()
        await self.until(lambda: visitor.ended, "the end")
        self.assertEqual(visitor.received, b"question and an answer")
        self.assertFalse(visitor.was_reset)

    async def test_much(self) -> None:
        """8 MiB pass as they are, though nobody reads for a while."""
        edge, _, _ = await self.pair()
        content = os.urandom(8 * MIB)
        visitor = await self.connect(self.port(edge))
        visitor.transport.pauseProducing()
        visitor.transport.write(content)
        await self.pause(0.2)
        visitor.transport.resumeProducing()
        await self.until(lambda: len(visitor.received) == len(content), "all is back")
        self.assertEqual(visitor.received, content)

    async def test_resets_pass(self) -> None:
        """A reset of either end resets the other, also of one that is not read."""
        edge, made, server = await self.pair()
        for paused in (False, True):
            visitor = await self.echoes(self.port(edge))
            if paused:
                visitor.transport.pauseProducing()
            made[-1].transport.abortConnection()
            if paused:
                await self.pause(0.05)
                visitor.transport.resumeProducing()
            await self.until(lambda v=visitor: v.ended, "the visitor's end")  # type: ignore[misc]
            self.assertTrue(visitor.was_reset)
            visitor = await self.echoes(self.port(edge))
            visitor.transport.abortConnection()
            await self.until(lambda: made[-1].ended, "the target's end")
            self.assertTrue(made[-1].was_reset)
        await self.until(lambda: server.hub.live == 0, "nobody is left")

    async def test_lost_client_resets(self) -> None:
        """A client that dies in the middle is a reset for the visitor, never a clean end."""
        edge, _, _ = await self.pair()
        visitor = await self.echoes(self.port(edge))
        await self.stop(self.home)
        await self.until(lambda: visitor.ended, "the visitor's end")
        self.assertTrue(visitor.was_reset)

    async def test_one_outcome(self) -> None:
        """What one end says of a visitor whom it cuts is what the server and the other end say of him, too."""
        for code, outcome in (("going_away", Outcome.DRAINED), ("kicked", Outcome.STOPPED)):
            edge, _, server = await self.pair()
            visitor = await self.echoes(self.port(edge))
            session = self.home.link.session
            assert session is not None
            for leg in tuple(session.legs.streams):
                leg.reset(code)
            await self.until(lambda v=visitor, e=edge: v.ended and e.usage.outcomes, "it is counted")  # type: ignore[misc]
            found = self.home.usage.outcomes, server.hub.usage.outcomes, edge.usage.outcomes
            self.assertEqual(found, ({outcome: 1}, {outcome: 2}, {outcome: 1}))
            await self.stop(edge)
            await self.stop(self.home)

    async def test_lost_on_the_other_leg(self) -> None:
        """A visitor who is lost between the server and the client that he was led to is lost at his own end, too."""
        edge, _, server = await self.pair()
        visitor = await self.echoes(self.port(edge))
        session = self.home.link.session
        assert session is not None
        session.drop_legs()
        await self.until(lambda: visitor.ended and edge.usage.outcomes, "it is counted")
        self.assertEqual(server.hub.usage.outcomes, {Outcome.LEG_LOST: 2})
        self.assertEqual(edge.usage.outcomes, {Outcome.LEG_LOST: 1})

    async def test_switched_off(self) -> None:
        """What an operator switches off at the server is shown at the client whose forward leads there, before anybody
        comes; so it is when it is on again, and then visitors are served."""
        edge, _, server = await self.pair()

        def shown() -> tuple[str, str]:
            (found,) = ForwardsView(edge.links.forwards, "edge", encrypted=True).mappings(Counter())
            return found.state.value, found.reason

        self.assertEqual(shown(), ("open", ""))
        await switch_mapping(server.hub, "home", "api", off=True)
        await self.until(lambda: shown() == ("off", SWITCHED_OFF_AT_SERVER), "it is shown")
        await self.stop(edge)
        edge = await self.connected(server, self.forward("mapping:home/api"))
        await self.until(lambda: shown() == ("off", SWITCHED_OFF_AT_SERVER), "it is shown after a new start, too")
        await self.refused(edge, "mapping_down")
        await switch_mapping(server.hub, "home", "api", off=False)
        await self.until(lambda: shown() == ("open", ""), "it is shown")
        await self.echoes(self.port(edge))

    async def test_target_refuses(self) -> None:
        """The other client's dial that fails is told at once, with its code."""
        port = free_port(self)
        server = await self.server(allow_dial=("mapping:*/*",))
        await self.open_client(server, self.mapping(port, "api", clients=("edge",)), name="home")
        edge = await self.connected(server, self.forward("mapping:home/api"))
        await self.refused(edge, "refused")

    async def test_who_may(self) -> None:
        """It takes both: the server's rule for the one, and the other's `clients`; who may not learns nothing else."""
        edge, made, _ = await self.pair(rules=("mapping:home/other",))
        await self.refused(edge, "not_allowed")
        edge, made, _ = await self.pair(clients=("somebody", "edge1", "Edge"))
        await self.refused(edge, "unknown_mapping")
        edge, made, _ = await self.pair(clients=())
        await self.refused(edge, "unknown_mapping")
        self.assertEqual(made, [])
        edge, made, _ = await self.pair(clients=("ed*",))
        await self.echoes(self.port(edge))

    async def test_whoever_shares_it(self) -> None:
        """A mapping by its name alone: of those who share it, and whom the rule names, one that can serve; another one
        when that has gone."""
        server = await self.server(allow_dial=("mapping:home-*/api",))
        targets = [await self.target() for _ in range(3)]
        homes = [
            await self.open_client(server, self.mapping(port, "api", clients=("edge",)), name=name)
            for name, (port, _) in zip(("home-1", "home-2", "other"), targets, strict=True)
        ]
        made = [each for _, each in targets]
        edge = await self.connected(server, self.forward("mapping:api"))
        for _ in range(2):
            await self.echoes(self.port(edge))
        self.assertEqual([len(each) for each in made], [1, 1, 0])
        await self.stop(homes[0])
        await self.until(lambda: server.hub.peers["home-1"].session is None, "it is away")
        await self.echoes(self.port(edge))
        self.assertEqual([len(each) for each in made], [1, 2, 0])

    async def test_nobody_shares_it(self) -> None:
        """By its name alone a mapping is refused like one by both names, and a target that is down is told."""
        edge, made, _ = await self.pair(rules=("mapping:home/other",), target="mapping:api")
        await self.refused(edge, "not_allowed")
        edge, made, _ = await self.pair(rules=("mapping:elsewhere/api",), target="mapping:api")
        await self.refused(edge, "unknown_mapping")
        edge, made, _ = await self.pair(clients=("somebody",), target="mapping:api")
        await self.refused(edge, "unknown_mapping")
        edge, made, server = await self.pair(target="mapping:api")
        server.hub.peers["home"].mappings["api"].suspended = "gone"
        await self.refused(edge, "mapping_down")
        self.assertEqual(made, [])

    async def test_not_outside_tls(self) -> None:
        """The proof of an OPEN on a plain leg does not cover the other client's name: such a leg is closed."""
        edge, _, server = await self.pair()
        await self.echoes(self.port(edge))
        (session,) = [session for session in server.hub._live if session.peer.name == "edge"]
        (leg, *_) = session.forward.legs
        opening = OpenBody("c", "s", mapping="api", client="home")
        self.assertTrue(session.forward.route(leg, opening))
        self.patch(leg, "plain", True)
        self.assertRaises(RemoteProtocolError, session.forward.route, leg, opening)

    async def test_hidden(self) -> None:
        """A mapping without a public port opens none, and is reached all the same."""
        edge, _, server = await self.pair(public=False)
        await self.echoes(self.port(edge))
        (mapping,) = server.hub.peers["home"].mappings.values()
        self.assertFalse(mapping.is_open)
        await self.said("open at no port, for the clients edge")
        await self.said("registered: the clients edge reach")

    async def test_down(self) -> None:
        """A mapping whose target is down refuses at once, and serves again when it is up."""
        edge, _, _ = await self.pair(public=False)
        assert self.home.link.session is not None
        self.home.link.session.tell("api", False, "for a test")
        await self.said("is down at")
        await self.refused(edge, "mapping_down")
        self.home.link.session.tell("api", True, "for a test")
        await self.said("is up at")
        await self.echoes(self.port(edge))

    async def test_left_while_he_waits(self) -> None:
        """A visitor who leaves while the other client is away frees everything."""
        self.quick()
        edge, _, server = await self.pair()
        assert self.home.link.session is not None
        self.patch(server.hub.peers["home"].session, "serve", lambda visitor: False)
        self.patch(server.hub.peers["home"].session, "feed", lambda: None)
        visitor = await self.connect(self.port(edge))
        await self.until(lambda: server.hub.peers["home"].pending, "he waits")
        visitor.transport.abortConnection()
        await self.until(lambda: server.hub.live == 0, "he is gone")


class PortableCrossingTests(CrossingTests):
    """The same on the portable relay."""

    relay = "portable"


def names(known: dict[str, str]) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a getaddrinfo that knows some names."""

    def look(host: str, port: object, *args: object, **more: object) -> list[tuple[Any, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port or 0))]

    return look
