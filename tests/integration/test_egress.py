"""The egress socket, with a client that behaves as kube-apiserver does, and worse ones."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint

from gotunnel.address import UnixPath
from gotunnel.client.service import ClientService
from gotunnel.client.view import ClientView
from gotunnel.config.model import EgressConfig, NodeConfig, ServerEgressConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import MappingState
from gotunnel.net import egress as egress_module
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.raw import RawRelay
from gotunnel.server.credentials import Credentials
from gotunnel.server.view import ServerView
from gotunnel.wire.messages import Nodes

from .base import IntegrationTestCase, Peer, reactor

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def connect(target: str, host: str = "127.0.0.1") -> bytes:
    """Return what kube-apiserver sends: its Host is always 127.0.0.1."""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


class EgressCase(IntegrationTestCase):
    """What the tests below share."""

    def setUp(self) -> None:
        super().setUp()
        self.socket = UnixPath(os.path.relpath(self.folder / "e"))

    @property
    def config(self) -> EgressConfig:
        """The egress section of either role."""
        return EgressConfig(listen=self.socket)

    @staticmethod
    def node(*match: str, ports: Any = (10250,), **more: Any) -> NodeConfig:
        """Return one entry of `nodes`."""
        return NodeConfig.model_validate({"match": list(match), "allow_ports": list(ports), **more})

    async def worker(self, server: Any, *nodes: NodeConfig, name: str = "worker-1") -> ClientService:
        """Start a client that leads to nodes; wait until the server knows."""
        client = self.client(server, nodes=nodes, name=name)
        await self.until(lambda: server.hub.nodes.announced(name), "its nodes are known")
        return client

    async def ask(self, words: bytes = b"") -> Peer:
        """Connect to the egress socket, and say something."""
        peer = Peer()
        await UNIXClientEndpoint(reactor, self.socket.path).connect(OneProtocol(lambda: peer))
        self.addCleanup(peer.hang_up)
        if words:
            peer.transport.write(words)
        return peer

    async def refused(self, words: bytes, status: int, reason: str) -> None:
        """Ask, and hear an error with its reason, and then the end."""
        peer = await self.ask(words)
        await self.until(lambda: peer.ended, "the end")
        self.assertTrue(peer.received.startswith(f"HTTP/1.1 {status} ".encode()), peer.received)
        self.assertIn(reason, peer.received.decode())
        header, _, body = peer.received.partition(b"\r\n\r\n")
        self.assertIn(f"Content-Length: {len(body)}".encode(), header)


class ServerEgressTests(EgressCase):
    """The socket at the server."""

    @property
    def config(self) -> ServerEgressConfig:
        """The egress section of a server."""
        return ServerEgressConfig(listen=self.socket)

    async def test_kubelet(self) -> None:
        """The answer is 200 and an empty line, then the target's bytes and nothing else; `Host` decides nothing."""
        target, made = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("10.200.0.0/16", "worker-*"))
        await self.worker(server, self.node("10.200.0.11", "worker-1", ports=(target,), dial="127.0.0.1"))
        for asked in (f"10.200.0.11:{target}", f"worker-1:{target}", f"WORKER-1:{target}"):
            peer = await self.ask(connect(asked, host="10.9.9.9:1"))
            await self.until(lambda p=peer: p.received == OK, "the answer")  # type: ignore[misc]
            peer.transport.write(b"\x16\x03\x01")
            await self.until(lambda p=peer: p.received == OK + b"\x16\x03\x01", "the echo")  # type: ignore[misc]
            peer.transport.loseConnection()
            await self.until(lambda p=peer: p.ended, "the end")  # type: ignore[misc]
            self.assertFalse(peer.was_reset)
        self.assertEqual(len(made), 3)
        await self.said(f"visitor egress of node 10.200.0.11:{target} ended: completed")
        self.assertEqual(server.hub.live, 0)

    async def test_seen(self) -> None:
        """Who asks the server how it is sees the socket, and why it does not listen."""
        where = UnixPath(os.path.relpath(self.folder / "later" / "e"))
        server = await self.server(egress=ServerEgressConfig(listen=where))
        view = ServerView(server)
        (seen,) = view.mappings()
        self.assertEqual((seen.kind, seen.address, seen.state), ("egress", str(where), MappingState.FAILED))
        self.assertIn("its folder does not exist", seen.reason)
        self.assertEqual([each.check for each in view.ready() if not each.ok], [f"egress {where}"])
        (self.folder / "later").mkdir()
        assert server.egress is not None
        server.egress.start()
        (seen,) = view.mappings()
        self.assertEqual((seen.name, seen.state, seen.reason), (str(where), MappingState.OPEN, ""))
        self.assertEqual([each.check for each in view.ready() if not each.ok], [])
        await server.drain(0)
        self.assertEqual(list(view.mappings()), [])

    async def test_byte_by_byte(self) -> None:
        """A header in single bytes, and one with stream bytes right behind it in the same segment."""
        target, made = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("10.200.0.11",))
        await self.worker(server, self.node("10.200.0.11", ports=(target,), dial="127.0.0.1"))
        header = connect(f"10.200.0.11:{target}")
        slow = await self.ask()
        for position in range(len(header)):
            slow.transport.write(header[position : position + 1])
            await self.pause(0)
        slow.transport.write(b"behind")
        await self.until(lambda: slow.received == OK + b"behind", "the answer and the echo")
        much = os.urandom(300_000)
        quick = await self.ask(header + much)
        await self.until(lambda: len(quick.received) == len(OK) + len(much), "the answer and the echo")
        self.assertEqual(quick.received, OK + much)
        self.assertEqual(made[1].received, much)

    async def test_every_split(self) -> None:
        """A header that is cut in two at any place, with bytes behind it."""
        target, made = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",))
        await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        words = connect(f"n:{target}") + b"\r\n\r\nstream"
        for cut in range(len(words) - 8, len(words) - 2 * 8 - 6, -1):
            peer = await self.ask(words[:cut])
            await self.pause(0.005)
            peer.transport.write(words[cut:])
            await self.until(lambda p=peer: p.received == OK + b"\r\n\r\nstream", f"the echo, cut at {cut}")  # type: ignore[misc]
            self.assertEqual(made[-1].received, b"\r\n\r\nstream")
            peer.transport.loseConnection()

    async def test_refusals(self) -> None:
        """Errors are told with their status and reason, at once."""
        target, made = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("10.200.0.0/16",))
        client = self.client(
            server, nodes=(self.node("10.200.0.11", "10.201.0.1", ports=(1,), dial="127.0.0.1"),), name="w"
        )
        await self.said("leads to the nodes 10.200.0.11")
        await self.said("node 10.201.0.1 refused by the server")
        await self.refused(connect(f"10.200.0.12:{target}"), 502, "no client announces it")
        await self.refused(connect("10.201.0.1:1"), 502, "no client announces it")
        await self.refused(connect(f"10.200.0.11:{target}"), 502, "not allowed")
        await self.refused(connect("10.200.0.11:1"), 502, "connection refused")
        await self.refused(b"GET / HTTP/1.1\r\n\r\n", 405, "GET is not CONNECT")
        await self.refused(b"CONNECT 10.200.0.11 HTTP/1.1\r\n\r\n", 400, "names no port")
        await self.refused(b"CONNECT 10.200.0.11:99999 HTTP/1.1\r\n\r\n", 400, "is not between 1 and 65535")
        await self.refused(b"CONNECT a..b:1 HTTP/1.1\r\n\r\n", 400, "is not a host name")
        await self.refused(b"\x16\x03\x01\r\n\r\n", 400, "not an HTTP/1 request")
        await self.refused(b"CONNECT a:1 HTTP/1.1\r\nno field\r\n\r\n", 400, "not an HTTP/1 request")
        await self.refused(b"CONNECT a:1 HTTP/1.1\n\n", 400, "do not end with CR and LF")
        await self.refused(b"CONNECT a:1 HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, "longer than")
        self.assertEqual(made, [])
        self.assertEqual(server.hub.live, 0)
        self.assertTrue(client.running)

    async def test_client_away(self) -> None:
        """While the client is away the request waits, and is served when it is back; or it hears 504."""
        self.quick()
        target, _ = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",), leg_wait=0.2)
        worker = await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        self.patch(server.hub.peers["worker-1"].session, "serve", lambda visitor: False)
        self.patch(server.hub.peers["worker-1"].session, "feed", lambda: None)
        await self.refused(connect(f"n:{target}"), 504, "brought no leg in time")
        server.hub.peers["worker-1"].lobby.use(10.0)  # to come back takes longer on a busy machine
        server.hub.peers["worker-1"].session.control.transport.abortConnection()
        peer = await self.ask(connect(f"n:{target}"))
        await self.until(lambda: peer.received == OK, "the answer")
        self.assertTrue(worker.running)

    async def test_waits_while_the_server_drains(self) -> None:
        """A server that drains closes its socket at once; a request that it has accepted is still led to its node."""
        target, _ = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",))
        await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        session = server.hub.peers["worker-1"].session
        feed = session.feed
        self.patch(session, "serve", lambda visitor: False)
        self.patch(session, "feed", lambda: None)
        peer = await self.ask(connect(f"n:{target}"))
        await self.until(lambda: server.hub.peers["worker-1"].pending, "it waits")
        drained = server.drain(5)
        self.assertFalse(os.path.exists(self.socket.path))
        await self.pause(0.02)
        self.patch(session, "feed", feed)
        session.feed()
        await self.until(lambda: peer.received, "the answer")
        self.assertEqual(peer.received, OK)
        peer.transport.loseConnection()
        await drained

    async def test_rights_are_taken_away(self) -> None:
        """A node that a client may not announce any more is led to no longer, from that moment."""
        target, _ = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",))
        await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        config = server.hub.config.model_copy(update={"allow_nodes": ()})
        server.hub.identities_changed(Credentials(config, frozenset()).table())
        await self.refused(connect(f"n:{target}"), 502, "no client announces it")

    async def test_stream_of_a_node_taken_away(self) -> None:
        """An open stream to it is cut; one that waits for a leg is refused."""
        target, _ = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("node",))
        await self.worker(server, self.node("node", ports=(target,), dial="127.0.0.1"))
        streams = await self.ask(connect(f"node:{target}"))
        await self.until(lambda: streams.received == OK, "the answer")
        peer = server.hub.peers["worker-1"]
        feed = peer.session.feed
        self.patch(peer.session, "serve", lambda visitor: False)
        self.patch(peer.session, "feed", lambda: None)
        waits = await self.ask(connect(f"node:{target}"))
        await self.until(lambda: peer.pending or waits.ended, "he waits")
        config = server.hub.config.model_copy(update={"allow_nodes": ()})
        server.hub.identities_changed(Credentials(config, frozenset()).table())
        await self.until(lambda: streams.ended, "it is cut")
        feed()
        await self.until(lambda: waits.ended, "it is refused")
        self.assertTrue(waits.received.startswith(b"HTTP/1.1 502 "), waits.received)

    async def test_spellings(self) -> None:
        """However a node is spelt, both ends mean the same by it."""
        target, _ = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("worker-9", "10.9.1.2"))
        await self.worker(server, self.node("Worker-9", "10.9.1.2", ports=(target,), dial="127.0.0.1"))
        for asked in ("worker-9", "WORKER-9.", "10.9.1.2", "[::ffff:10.9.1.2]"):
            peer = await self.ask(connect(f"{asked}:{target}"))
            await self.until(lambda p=peer: p.received == OK or p.ended, "the answer")  # type: ignore[misc]
            self.assertEqual(peer.received, OK, asked)

    async def test_many_nodes(self) -> None:
        """As many as a client may name are answered in one frame, though none is allowed; more are refused."""
        server = await self.server(egress=self.config)
        names = [f"{'n' * 120}-{number}" for number in range(256)]
        client = self.client(server, nodes=(self.node(*names),), name="many")
        await self.said("refused by the server: its allow_nodes on the server does not name it")
        session = client.link.session
        assert session is not None
        session.control.send(Nodes(99, tuple(f"n{number}" for number in range(257))))
        await self.said("more than 256 nodes")

    async def test_second_client(self) -> None:
        """Of two that lead to a node, the other serves when one is away; the longest match comes first."""
        first, one = await self.target()
        second, two = await self.target()
        ports = (first, second)
        server = await self.server(egress=self.config, allow_nodes=("10.0.0.0/8",))
        broad = await self.worker(server, self.node("10.0.0.0/16", ports=ports, dial="127.0.0.1"), name="broad")
        await self.worker(server, self.node("10.0.0.7", ports=(second,), dial="127.0.0.1"), name="exact")
        await self.refused(connect(f"10.0.0.7:{first}"), 502, "not allowed")
        peer = await self.ask(connect(f"10.0.0.8:{first}"))
        await self.until(lambda: peer.received == OK, "the answer")
        await self.stop(broad)
        await self.until(lambda: server.hub.peers["broad"].session is None, "it is away")
        peer = await self.ask(connect(f"10.0.0.7:{second}"))
        await self.until(lambda: peer.received == OK, "the answer")
        self.assertEqual((len(one), len(two)), (1, 1))

    async def test_client_that_drains(self) -> None:
        """While one that leads to a node lets its last visitors finish, another one serves those who come."""
        target, made = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",))
        node = self.node("n", ports=(target,), dial="127.0.0.1")
        first = await self.worker(server, node, name="first")
        await self.worker(server, node, name="second")
        stays = await self.ask(connect(f"n:{target}"))
        await self.until(lambda: stays.received == OK, "the answer")
        session = server.hub.peers["first"].session
        self.assertEqual(len(session.streams), 1)
        drained = first.drain(60)
        await self.until(lambda: session.draining, "it drains")
        peer = await self.ask(connect(f"n:{target}"))
        await self.until(lambda: peer.received, "the answer", seconds=3)
        self.assertEqual((peer.received, stays.ended, len(made)), (OK, None, 2))
        stays.transport.loseConnection()
        await drained

    async def test_slow_strangers(self) -> None:
        """Who sends no request is closed in time; a crowd of them costs the oldest."""
        self.patch(egress_module, "PATIENCE", 0.05)
        self.patch(egress_module, "WAITING", 2)
        await self.server(egress=self.config)
        await self.said("egress socket open")
        peers = [await self.ask(b"CONN") for _ in range(3)]
        for peer in peers:
            await self.until(lambda p=peer: p.ended, "the end")  # type: ignore[misc]
            self.assertEqual(peer.received, b"")

    async def test_both_ends_reset(self) -> None:
        """A reset of the target resets who asked, and a hang-up of who asked resets the target."""
        target, made = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",))
        await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        peer = await self.ask(connect(f"n:{target}"))
        await self.until(lambda: peer.received == OK, "the answer")
        made[0].transport.abortConnection()
        await self.until(lambda: peer.ended, "the end")
        peer = await self.ask(connect(f"n:{target}"))
        await self.until(lambda: peer.received == OK, "the answer")
        await self.stop(server)
        await self.until(lambda: made[1].ended and peer.ended, "both ends")
        self.assertFalse(os.path.exists(self.socket.path))


class DirectTests(EgressCase):
    """`default: direct`."""

    @property
    def config(self) -> ServerEgressConfig:
        """The egress section of a server."""
        return ServerEgressConfig(listen=self.socket, default="direct")

    async def test_direct(self) -> None:
        """What no client announces the server dials itself, with the same answers and bytes."""
        target, made = await self.target()
        server = await self.server(egress=self.config)
        much = os.urandom(300_000)
        peer = await self.ask(connect(f"127.0.0.1:{target}") + much)
        await self.until(lambda: len(peer.received) == len(OK) + len(much), "the answer and the echo")
        self.assertEqual(peer.received, OK + much)
        peer.transport.loseConnection()
        await self.until(lambda: made[0].ended, "the end")
        await self.said(f"visitor egress of 127.0.0.1:{target} ended: completed, 300000 bytes up, 300000 down")
        self.assertEqual(sum(server.hub.usage.dial.counts), 1)

    async def test_kicked(self) -> None:
        """Each has an id of his own, by which an operator can end him, while he is dialled for, too."""
        target, made = await self.target()
        server = await self.server(egress=self.config)
        one, other = [await self.ask(connect(f"127.0.0.1:{target}")) for _ in range(2)]
        await self.until(lambda: one.received == other.received == OK, "the answers")
        streams = ServerView(server).streams
        seen = {each.conn for each in streams}
        self.assertEqual(len(seen - {""}), 2)
        self.assertFalse(streams.kick("nobody"))
        for conn in seen:
            self.assertTrue(streams.kick(conn))
            await self.said(f"({conn})")
        await self.until(lambda: one.ended and other.ended and made[0].ended and made[1].ended, "all ends")
        self.patch(RawRelay, "dial", lambda *_: Deferred())
        third = await self.ask(connect(f"127.0.0.1:{target}"))
        await self.until(lambda: [each.state for each in streams] == ["dialling"], "it is dialled for")
        (dialled,) = streams
        self.assertTrue(streams.kick(dialled.conn))
        await self.until(lambda: third.ended, "the end")
        self.assertIn(b"502 Bad Gateway", third.received)
        self.assertIn(b"ended by an operator", third.received)
        self.assertEqual((server.hub.live, server.hub.outcomes[Outcome.STOPPED]), (0, 3))

    async def test_direct_endings(self) -> None:
        """The endings are the same, too, and a node that a client announces is its."""
        target, made = await self.target()
        node, _ = await self.target()
        server = await self.server(egress=self.config, allow_nodes=("n",))
        await self.worker(server, self.node("n", ports=(node,), dial="127.0.0.1"))
        led = await self.ask(connect(f"n:{node}"))
        await self.until(lambda: led.received == OK, "the answer")
        await self.refused(connect("127.0.0.1:1"), 502, "connection refused")
        reset = await self.ask(connect(f"127.0.0.1:{target}"))
        await self.until(lambda: reset.received == OK, "the answer")
        made[-1].transport.abortConnection()
        await self.until(lambda: reset.ended, "the end")
        await self.said("ended: reset_by_target")
        self.patch(server.hub, "most_visitors", 0)
        await self.refused(connect(f"127.0.0.1:{target}"), 502, "limit of visitors")
        server.hub.most_visitors = 100
        last = await self.ask(connect(f"127.0.0.1:{target}"))
        await self.until(lambda: last.received == OK, "the answer")
        await self.stop(server)
        await self.until(lambda: last.ended and made[-1].ended, "both ends")
        self.assertEqual(server.hub.live, 0)


class PortableServerEgressTests(ServerEgressTests):
    """The same on the portable relay."""

    relay = "portable"


class ClientEgressTests(EgressCase):
    """The socket at a client, where the server runs elsewhere."""

    async def test_kubelet(self) -> None:
        """A request at one client reaches a node that another one announces, if the server's rule says so."""
        target, _ = await self.target()
        server = await self.server(allow_nodes=("n",), allow_dial=(f"nodes:{target}",))
        await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        controller = self.client(server, egress=self.config, name="controller")
        await self.until(lambda: controller.link.session is not None, "a session")
        peer = await self.ask(connect(f"n:{target}") + b"hello")
        await self.until(lambda: peer.received == OK + b"hello", "the echo")
        peer.transport.loseConnection()
        await self.until(lambda: peer.ended, "the end")
        await self.refused(connect(f"m:{target}"), 502, "not allowed")
        await self.refused(connect("n:1"), 502, "not allowed")
        (seen,) = [view for view in ClientView(controller, reactor).mappings() if view.kind == "egress"]
        self.assertEqual((seen.ended, seen.up, seen.down, seen.reason), (3, 5, 5, ""))

    async def test_node_away(self) -> None:
        """Why a node was not reached is told as at the server: the client that leads there is away, or has as many
        visitors as it may."""
        self.quick()
        target, _ = await self.target()
        server = await self.server(allow_nodes=("n",), allow_dial=(f"nodes:{target}",), leg_wait=0.2)
        worker = await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        controller = self.client(server, egress=self.config, name="controller")
        await self.until(lambda: controller.link.session is not None, "a session")
        peer = server.hub.peers["worker-1"]
        self.patch(peer.session, "serve", lambda visitor: False)
        self.patch(peer.session, "feed", lambda: None)
        await self.refused(connect(f"n:{target}"), 504, "is away, or brought no leg in time")
        peer.visitors += 10_000
        await self.refused(connect(f"n:{target}"), 502, "its limit of visitors")
        peer.visitors -= 10_000
        self.assertTrue(worker.running)

    async def test_no_rule(self) -> None:
        """Without a rule nothing is reached."""
        target, made = await self.target()
        server = await self.server(allow_nodes=("n",))
        await self.worker(server, self.node("n", ports=(target,), dial="127.0.0.1"))
        controller = self.client(server, egress=self.config, name="controller")
        await self.until(lambda: controller.link.session is not None, "a session")
        await self.refused(connect(f"n:{target}"), 502, "not allowed")
        self.assertEqual(made, [])

    async def test_nobody_announces_it(self) -> None:
        """With a rule, a node that nobody leads to is told to be that, as on a server's own socket."""
        server = await self.server(allow_nodes=("n",), allow_dial=("nodes:10250", "127.0.0.1:1"))
        controller = self.client(server, egress=self.config, name="controller")
        await self.until(lambda: controller.link.session is not None, "a session")
        for target in ("n:10250", "10.0.0.1:10250"):
            await self.refused(connect(target), 502, "no client announces it")
            await self.said(f"no client announces {target} (client.nodes), and allow_dial of this client")
        await self.said("have a client announce it (client.nodes), and give this one `nodes:PORT` in its allow_dial")
        await self.refused(connect("127.0.0.1:1"), 502, "connection refused")


class PortableClientEgressTests(ClientEgressTests):
    """The same on the portable relay."""

    relay = "portable"
