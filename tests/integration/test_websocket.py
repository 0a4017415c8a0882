"""Clients that come to their server inside WebSockets: with TLS around them, through a proxy, and what is said to those
who do not get there."""

from __future__ import annotations

import base64
import socket
import ssl
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from zope.interface.verify import verifyObject

from gotunnel.address import HostPort, plain_address
from gotunnel.client.service import ClientService
from gotunnel.config.model import ForwardConfig, ServerConfig
from gotunnel.config.wsoptions import WebSocketListenerOptions, WebSocketOptions
from gotunnel.errors import GotunnelError
from gotunnel.interfaces import ITransportListener, ITransportProvider
from gotunnel.net import renewal
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.endpoint import TcpTransport
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.systemd import Handed
from gotunnel.net.transports import unsent_bytes
from gotunnel.net.ws import listener, stream, websocket
from gotunnel.net.ws.stream import WsStream
from gotunnel.server.service import ServerService
from gotunnel.server.view import ServerView
from tests.certificates import Authority
from tests.integration.base import Echo, IntegrationTestCase, Peer, reactor
from tests.ports import free_port


class Proxy(Protocol):
    """An HTTP proxy: passes CONNECT on to where it leads, if the login is right."""

    def __init__(self, place: ProxyPlace) -> None:
        self.place = place
        self.head = b""
        self.far: Peer | None = None

    def dataReceived(self, data: bytes) -> None:
        if self.far is not None:
            self.far.transport.write(data)
            return
        self.head += data
        if b"\r\n\r\n" not in self.head:
            return
        self.place.asked.append(self.head)
        if self.place.login is not None and b"Basic " + base64.b64encode(self.place.login) not in self.head:
            self.transport.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        port = int(self.head.split(b" ")[1].rpartition(b":")[2])
        proxy = self

        class Far(Peer):
            def connectionMade(self) -> None:
                proxy.far = self
                proxy.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

            def dataReceived(self, data: bytes) -> None:
                proxy.transport.write(data)

            def connectionLost(self, reason: Any = None) -> None:
                proxy.transport.loseConnection()

        TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(OneProtocol(Far))

    def connectionLost(self, reason: Any = None) -> None:
        if self.far is not None:
            self.far.hang_up()

    def hang_up(self) -> None:
        self.transport.abortConnection()


class ProxyPlace(Factory):
    """Where it listens, and what it was asked."""

    noisy = False

    def __init__(self, login: bytes | None = None) -> None:
        self.login = login
        self.asked: list[bytes] = []
        self.made: list[Proxy] = []

    def buildProtocol(self, addr: object) -> Proxy:
        self.made.append(Proxy(self))
        return self.made[-1]


class WebSocketTestCase(IntegrationTestCase):
    """A server that listens for WebSockets, too."""

    async def start(self, **options: Any) -> ServerService:
        """Start it."""
        return await self.server(listeners=[{"plugin": "websocket", "listen": "127.0.0.1:0", **options}])

    @staticmethod
    def door(server: ServerService) -> int:
        """Return the port where it does."""
        return server._listeners[0].address.port

    def come(self, server: ServerService, target: int, host: str = "127.0.0.1", **options: Any) -> ClientService:
        """Start a client that comes by a WebSocket."""
        transport = {"plugin": "websocket", "tls": False, **options}
        address = HostPort(host, self.door(server))
        return self.client(server, self.mapping(target), server_addr=address, transport=transport)

    async def opened(self, client: ClientService) -> int:
        """Wait until the mapping is open, and return its port."""
        await self.until(lambda: self.is_open(client), "the mapping is open")
        return self.port_of(client)

    async def ask(self, port: int, words: bytes) -> Peer:
        """Say something to a port, and wait until it has closed."""
        peer = await self.connect(port)
        peer.transport.write(words)
        await self.until(lambda: peer.ended, "it is closed")
        return peer


class CarriedTests(WebSocketTestCase):
    """Bytes arrive whole, both ways, and ends are told."""

    async def test_visitors(self) -> None:
        """Visitors are served one after another and side by side, and the server knows where the client comes from."""
        server = await self.start()
        target, services = await self.target()
        client = self.come(server, target)
        port = await self.opened(client)
        for _ in range(3):
            (await self.echoes(port)).transport.loseConnection()
        many = [await self.echoes(port, b"%d" % number * 100) for number in range(8)]
        self.assertEqual(len(many), 8)
        [session] = server.hub.connected
        self.assertEqual(session.control.transport.getPeer().host, "127.0.0.1")
        await self.until(lambda: len(services) == 11, "all of them arrived")

    async def test_socket_of_systemd(self) -> None:
        """A listener serves clients on a socket that was handed over, whichever of the two any-addresses it has, and
        has closed its copy when the server has stopped."""
        held = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.addCleanup(held.close)
        port = held.getsockname()[1]
        copy = held.dup()
        copy.setblocking(False)
        listen = {"plugin": "websocket", "listen": f"0.0.0.0:{port}"}
        server = await self.server([Handed("web", copy)], listeners=[listen])
        self.assertEqual(server._listeners[0].address, HostPort("::", port))
        target, _ = await self.target()
        client = self.come(server, target)
        await self.echoes(await self.opened(client))
        [session] = server.hub.connected
        self.assertEqual(plain_address(session.control.transport.getPeer().host), plain_address("127.0.0.1"))
        await self.stop(client)
        await self.stop(server)
        self.assertEqual(copy.fileno(), -1)
        socket.create_connection(("127.0.0.1", port), 5).close()  # it waits in the queue for a successor

    async def test_large(self) -> None:
        """Four megabytes come back as they went, through a reader that is slower than the writer."""
        server = await self.start()
        target, _ = await self.target()
        port = await self.opened(self.come(server, target))
        words = bytes(range(256)) * 16384
        peer = await self.connect(port)
        peer.transport.write(words)
        peer.transport.pauseProducing()
        await self.pause(0.05)
        peer.transport.resumeProducing()
        await self.until(lambda: len(peer.received) == len(words), "all of it is back")
        self.assertEqual(peer.received, words)

    async def test_client_gone(self) -> None:
        """A client that ends in order is gone at once, and nothing of it is left."""
        server = await self.start()
        target, _ = await self.target()
        client = self.come(server, target)
        await self.opened(client)
        await self.stop(client)
        await self.until(lambda: not server.hub.connected, "the server knows")

    async def test_pings(self) -> None:
        """A silent WebSocket is pinged, so that what is between does not close it, and the pong is no word of a leg."""
        server = await self.start()
        target, _ = await self.target()
        port = await self.opened(self.come(server, target, ping=1))
        visitor = await self.echoes(port)
        await self.pause(1.2)
        visitor.transport.write(b" again")
        await self.until(lambda: visitor.received == b"hello again", "it is still there")


    async def test_several_servers(self) -> None:
        """Two servers, each through a WebSocket: a group on each, forwards by either, and what one of them cannot serve
        any more the other does."""
        rules = ServerConfig.model_validate({"allow_dial": ["127.0.0.1:1-65535"]}).allow_dial
        servers = [
            await self.server(listeners=[{"plugin": "websocket", "listen": "127.0.0.1:0"}], allow_dial=rules)
            for _ in range(2)
        ]
        target, _ = await self.target()
        forward = ForwardConfig.model_validate({"name": "db", "listen": "127.0.0.1:0", "dial": f"127.0.0.1:{target}"})
        client = self.client(
            servers[0], self.mapping(target), server_addr=None, forwards=(forward,),
            servers=tuple(HostPort("127.0.0.1", self.door(server)) for server in servers),
            transport={"plugin": "websocket", "tls": False},
        )  # fmt: skip
        await self.until(lambda: all(server.hub.connected for server in servers), "both are connected")
        await self.until(lambda: all(server.hub.peers["edge"].mappings for server in servers), "both publish")
        for server in servers:
            port = server.hub.peers["edge"].mappings["web"].port
            await self.echoes(port)
        entrance: Any = client.links.forwards.address("db")  # type: ignore[union-attr]
        await self.echoes(entrance.port)
        await self.stop(servers[0])
        for _ in range(3):
            await self.echoes(entrance.port)


class PortableCarriedTests(CarriedTests):
    """The same on the portable relay."""

    relay = "portable"


class TlsTests(WebSocketTestCase):
    """TLS around it, beside gotunnel's own."""

    async def test_certificate(self) -> None:
        """A client gets there whose `ca` has signed the certificate, and no other one; both name the reason."""
        authority = Authority(self.folder)
        cert, key = authority.issue("localhost")
        server = await self.start(cert=str(cert), key=str(key))
        target, _ = await self.target()
        client = self.come(server, target, host="localhost", tls=True)
        await self.said("not connected to the server")
        self.assertIn("certificate", next(line for line in self.lines() if "not connected to the server" in line))
        await self.stop(client)
        port = await self.opened(self.come(server, target, host="localhost", tls=True, ca=str(authority.file)))
        await self.echoes(port)


    async def test_renewed(self) -> None:
        """A certificate that is renewed while the server runs is taken up, here as on the server's own port, and so is
        a client's `ca`; files that do not fit together leave the old one in use."""
        self.patch(renewal, "EVERY", 0.05)
        self.quick()
        folders = self.folder / "first", self.folder / "second"
        for each in folders:
            each.mkdir()
        first, second = map(Authority, folders)
        trusted = self.folder / "trusted.pem"
        trusted.write_bytes(first.file.read_bytes())
        issued, key = first.issue("localhost")
        server = await self.start(cert=str(issued), key=str(key))
        target, _ = await self.target()
        more = {"host": "localhost", "tls": True, "ca": str(trusted)}
        client = self.come(server, target, **more)
        await self.opened(client)
        new_cert, new_key = second.issue("localhost")
        issued.write_bytes(new_cert.read_bytes())
        await self.said("certificate files have changed but cannot be used")
        key.write_bytes(new_key.read_bytes())
        await self.said("the new certificate of the listener websocket: SHA-256 ")
        trusted.write_bytes(b"nonsense")
        client.link.session.control.transport.abortConnection()  # type: ignore[union-attr]
        await self.said("not connected to the server")
        trusted.write_bytes(second.file.read_bytes())
        await self.until(lambda: client.link.session is not None, "it trusts the new one")
        await self.stop(server)
        self.assertEqual([call for call in reactor.getDelayedCalls() if "Renewal" in str(call.func)], [])


class ProxyTests(WebSocketTestCase):
    """Through an HTTP proxy."""

    async def place(self, login: bytes | None = None) -> tuple[ProxyPlace, int]:
        """Start a proxy."""
        place = ProxyPlace(login)
        port = reactor.listenTCP(0, place, interface="127.0.0.1")

        async def end() -> None:
            await port.stopListening()
            for each in place.made:
                each.hang_up()

        self.addCleanup(end)
        return place, port.getHost().port

    async def test_login(self) -> None:
        """All connections go through it, with the login of a file."""
        place, at = await self.place(b"me:secret")
        login = self.folder / "login"
        login.write_text("me:secret\n")
        login.chmod(0o600)
        server = await self.start()
        target, _ = await self.target()
        port = await self.opened(self.come(server, target, proxy=f"127.0.0.1:{at}", proxy_login=str(login)))
        await self.echoes(port)
        self.assertGreaterEqual(len(place.asked), 2)
        self.assertTrue(all(each.startswith(b"CONNECT 127.0.0.1:%d " % self.door(server)) for each in place.asked))

    async def test_refused(self) -> None:
        """A proxy that wants a login is named, with what to do: another thing where a wrong one was sent."""
        _, at = await self.place(b"me:secret")
        server = await self.start()
        target, _ = await self.target()
        self.come(server, target, proxy=f"127.0.0.1:{at}")
        await self.said(f"the proxy 127.0.0.1:{at}: it wants a login; name a file with user:password as proxy_login")
        login = self.folder / "login"
        login.write_text("me:another\n")
        login.chmod(0o600)
        self.come(server, target, proxy=f"127.0.0.1:{at}", proxy_login=str(login))
        await self.said(f"the proxy 127.0.0.1:{at}: it does not take the login of proxy_login; correct that file")

    async def test_login_changes(self) -> None:
        """A login that is replaced is taken up by the next connection, without a reload; one that is of no use is told
        once, and the former one stays."""
        place, at = await self.place(b"me:second")
        login = self.folder / "login"
        login.write_text("me:first\n")
        login.chmod(0o600)
        server = await self.start()
        target, _ = await self.target()
        client = self.come(server, target, proxy=f"127.0.0.1:{at}", proxy_login=str(login))
        await self.said(f"the proxy 127.0.0.1:{at}: it does not take the login of proxy_login; correct that file")
        login.write_text("me:second\n")
        port = await self.opened(client)
        await self.said(f"the login of the proxy was read again: {login}")
        login.write_text("nonsense")
        for _ in range(2):
            asked = len(place.asked)
            await self.until(lambda: client.link.session is not None, "it is connected")
            client.link.session.close("a test")
            await self.until(lambda: len(place.asked) > asked, "it comes again")  # noqa: B023 - at once
        await self.echoes(port)
        self.assertEqual(sum("is not user:password on one line" in line for line in self.lines()), 1)

    async def test_odd_proxies(self) -> None:
        """Whatever a proxy says, the client hears why in one line and comes again: an answer behind others in one
        piece, a head without end, nonsense, nothing, an end in the middle."""
        said = [b""]

        class Odd(Peer):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(said[0])
                if not said[0].endswith(b"\n"):
                    self.transport.loseConnection()

        at, _ = await self.target(Odd)
        target, _ = await self.target()
        server = await self.start()
        for said[0], why in (
            (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 403 No\r\n\r\n", "HTTP status 403"),
            (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "does not speak HTTP"),
            (b"\x05\x00\r\n", "does not speak HTTP"),
            (b"HTTP/1.1 200", "closed the connection"),
            (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "HTTP status 302"),
        ):
            client = self.come(server, target, proxy=f"127.0.0.1:{at}")
            await self.said(f"the proxy 127.0.0.1:{at}: ")
            await self.until(lambda why=why: any(why in line for line in self.lines()), why)  # type: ignore[misc]
            await self.stop(client)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_login_files(self) -> None:
        """A login that others can read, or that is none, is refused."""
        login = self.folder / "login"
        for text, mode, words in (
            ("me:secret", 0o644, "can be read or changed by others (mode 0644); chmod 600"),
            ("secret", 0o600, "is not user:password on one line"),
        ):
            login.write_text(text)
            login.chmod(mode)
            options = WebSocketOptions.model_validate({"proxy": "p:1", "proxy_login": str(login)})
            refused = self.assertRaises(GotunnelError, websocket, reactor, options)
            self.assertIn(words, str(refused))
            self.assertNotIn("secret", str(refused))


class TalksOn(Peer):
    """Speaks TLS, asks for what is not there, and takes no notice of any end."""

    def __init__(self) -> None:
        super().__init__()
        self.told = b""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out)
        self._up = False

    def connectionMade(self) -> None:
        self._go_on()

    def dataReceived(self, data: bytes) -> None:
        self._in.write(data)
        self._go_on()

    def talk(self, data: bytes) -> None:
        """Send something."""
        self._tls.write(data)
        self.transport.write(self._out.read())

    def _go_on(self) -> None:
        try:
            if not self._up:
                self._tls.do_handshake()
                self._up = True
                self._tls.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            while data := self._tls.read(65536):
                self.told += data
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        self.transport.write(self._out.read())


UPGRADE = (
    b"GET /gotunnel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class StrangerTests(WebSocketTestCase):
    """Who comes to the port without a client's wish."""

    async def test_http(self) -> None:
        """A browser, another path and nonsense get 404 and are closed."""
        server = await self.start(path="/in")
        upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        for words in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /gotunnel HTTP/1.1\r\nHost: x\r\n" + upgrade + key + b"\r\n",
            b"\x16\x03\x01 nonsense\r\n\r\n",
        ):
            peer = await self.ask(self.door(server), words)
            self.assertTrue(peer.received.startswith(b"HTTP/1.1 404 "), peer.received)

    async def test_silence(self) -> None:
        """Who says nothing, or half a request, is closed after the deadline of all strangers, and pays for it."""
        server = await self.server(
            listeners=[{"plugin": "websocket", "listen": "127.0.0.1:0"}], handshake_timeout=0.2,
        )
        for words in (b"", b"GET /gotunnel HTTP/1.1\r\n"):
            peer = await self.ask(self.door(server), words)
            self.assertTrue(peer.was_reset)
        self.assertEqual(server._reception.strangers, 0)

    async def test_endless_head(self) -> None:
        """A head that does not end is not kept."""
        server = await self.start()
        peer = await self.ask(self.door(server), b"GET /gotunnel HTTP/1.1\r\nx: " + b"a" * 100_000)
        self.assertIn(b"404", peer.received)

    async def test_crowd(self) -> None:
        """The limit on strangers of one address holds here, too: the oldest has to go."""
        server = await self.server(
            listeners=[{"plugin": "websocket", "listen": "127.0.0.1:0"}],
            limits={"unauthenticated_per_address": 2},
        )
        peers = [await self.connect(self.door(server)) for _ in range(3)]
        await self.until(lambda: peers[0].ended, "the first one is turned out")
        self.assertEqual([peer.ended is None for peer in peers], [False, True, True])

    def caught(self) -> list[WsStream]:
        """Return a list that every WebSocket of this process gets into."""
        made: list[WsStream] = []
        begin = WsStream.connectionMade

        def connected(self: WsStream) -> None:
            made.append(self)
            begin(self)

        self.patch(WsStream, "connectionMade", connected)
        return made

    async def test_goes_on_behind_the_end(self) -> None:
        """Who has been refused inside TLS and goes on sending, and ends nothing himself, is not listened to, and is
        gone in the end."""
        self.patch(stream, "LINGER", 0.3)
        cert, key = Authority(self.folder).issue("localhost")
        server = await self.start(cert=str(cert), key=str(key))
        made, peer = self.caught(), TalksOn()
        await self.join(peer, self.door(server))
        await self.until(lambda: b" 404 " in peer.told, "he is refused")
        heard: list[bytes] = []
        self.patch(made[0]._socket, "receive_data", heard.append)
        for _ in range(20):
            peer.talk(b"x" * 4096)
        await self.until(lambda: peer.ended, "he is gone")
        self.assertEqual(heard, [])

    async def test_never_reads(self) -> None:
        """Pings of somebody who reads no answer are not answered without end, and his deadline holds."""
        server = await self.server(listeners=[{"plugin": "websocket", "listen": "127.0.0.1:0"}], handshake_timeout=1.5)
        made, peer = self.caught(), await self.connect(self.door(server))
        peer.transport.write(UPGRADE + b"\r\n")
        await self.until(lambda: b" 101 " in peer.received, "the WebSocket is up")
        peer.transport.pauseProducing()
        peer.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ping = b"\x89\xfd" + bytes(4) + bytes(125)
        most = 0
        for _ in range(60):
            peer.transport.write(ping * 1000)
            await self.pause(0.01)
            if made[0].transport.connected:
                most = max(most, unsent_bytes(made[0].transport))
        self.assertLess(most, 65536)
        await self.until(lambda: not server._reception.strangers, "he is no stranger any more")
        await self.until(lambda: not made[0].transport.connected, "and is gone")

    async def test_forwarded(self) -> None:
        """A proxy that is trusted says where a client comes from; nobody else can."""
        upgrade = (
            b"GET /gotunnel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n\r\n"
        )
        for trust, address in ((["127.0.0.0/8"], "192.0.2.7"), ([], "127.0.0.1")):
            server = await self.start(trust=trust)
            peer = await self.connect(self.door(server))
            peer.transport.write(upgrade)
            await self.until(lambda peer=peer: b" 101 " in peer.received, "the WebSocket is up")
            [door] = server._reception._doors
            self.assertEqual(door.host, address)

    async def test_deadline(self) -> None:
        """There is one deadline behind a trusted proxy, too: what HTTP has taken is not to be had again."""
        server = await self.start(trust=["127.0.0.0/8"])
        peer = await self.connect(self.door(server))
        peer.transport.write(UPGRADE[:20])
        await self.pause(0.3)
        peer.transport.write(UPGRADE[20:] + b"\r\n")
        await self.until(lambda: b" 101 " in peer.received, "the WebSocket is up")
        [door] = server._reception._doors
        assert door._deadline is not None
        self.assertLess(door._deadline.getTime() - reactor.seconds(), server.hub.config.handshake_timeout - 0.2)

    async def test_reserved(self) -> None:
        """No client publishes the listener's port."""
        number = free_port(self)
        server = await self.server(listeners=[{"plugin": "websocket", "listen": f"127.0.0.1:{number}"}])
        target, _ = await self.target()
        self.client(server, self.mapping(target, remote=number))
        await self.said("refused by the server")

    async def test_port_taken(self) -> None:
        """A port that another program has is named once, and tried again."""
        taken = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        self.addCleanup(taken.stopListening)
        where = f"127.0.0.1:{taken.getHost().port}"
        server = await self.server(listeners=[{"plugin": "websocket", "listen": where}])
        await self.said("the listener websocket cannot listen: ")
        found = {each.check: each for each in ServerView(server).ready()}["listener websocket"]
        self.assertFalse(found.ok)
        self.assertRegex(found.reason, r"^it does not listen: .+")
        await taken.stopListening()
        listening = server.listeners[0]._port
        assert listening is not None
        listening.start()
        found = {each.check: each for each in ServerView(server).ready()}["listener websocket"]
        self.assertEqual((found.ok, found.reason), (True, f"listening on {where}"))


class ReasonTests(WebSocketTestCase):
    """Why a client does not get there."""

    async def test_reasons(self) -> None:
        """Another path, and a port that speaks no HTTP, are told in one line."""
        server = await self.start(path="/in")
        target, _ = await self.target(Echo)
        client = self.come(server, target)
        await self.said("no WebSocket there: HTTP status 404")
        await self.stop(client)
        other, _ = await self.target(Echo)
        transport = {"plugin": "websocket", "tls": False}
        self.client(other, self.mapping(target), transport=transport)
        await self.said("what answers there does not speak WebSocket")

    def test_contract(self) -> None:
        """What gotunnel has provides the interfaces."""
        verifyObject(ITransportProvider, TcpTransport(reactor))
        verifyObject(ITransportProvider, websocket(reactor, WebSocketOptions()))
        options = WebSocketListenerOptions.model_validate({"listen": "127.0.0.1:0"})
        verifyObject(ITransportListener, listener(reactor, options, Descriptors(reactor)))

