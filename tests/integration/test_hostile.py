"""Somebody in the middle, strangers, and what must not be seen: on the wire, in a log, or left behind."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

from pydantic import SecretStr
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from gotunnel.address import HostPort
from gotunnel.client.service import make_client
from gotunnel.config.model import ClientConfig, TlsClientConfig, TlsServerConfig
from gotunnel.core import identities as identities_module
from gotunnel.errors import GotunnelError
from gotunnel.net import greeting as client_greeting
from gotunnel.net.framed import MOST_UNSENT
from gotunnel.net.greeting import ControlGreeting, LegGreeting, SessionKey
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.tls import client_creator, own_server_tls
from gotunnel.net.transports import hand_over, unsent_bytes
from gotunnel.server import clientlogin, keeping, legadmission
from gotunnel.server import greeting as server_greeting
from gotunnel.wire import handshake as handshake_module
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import ClientHandshake, derive_key
from gotunnel.wire.messages import Ping, encode
from gotunnel.wire.openform import FORM
from tests.certificates import BAD, Authority, bad_server
from tests.integration.base import TOKEN, IntegrationTestCase, reactor


class _Side(Protocol):
    """One half of somebody in the middle: passes on what it reads, and keeps it."""

    def __init__(self, middle: Middle) -> None:
        self.middle = middle
        self.other: _Side | None = None
        self.waiting: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.middle.seen += data
        if self.other is not None and self.other.connected:
            self.other.transport.write(data)
        else:
            self.waiting.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None and self.other.connected:
            self.other.transport.loseConnection()


class Middle(Factory):
    """Sits between a client and its server. With `tls` he ends the client's TLS with a certificate of his own and makes
    TLS of his own to the server; without, he passes on raw bytes."""

    noisy = False

    def __init__(self, server_port: int, tls: Any) -> None:
        self.seen = b""
        self.connections = 0
        self._server_port = server_port
        self._tls = tls
        factory = TLSMemoryBIOFactory(tls.creator, False, self) if tls is not None else self
        self.listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port: int = self.listening.getHost().port

    def buildProtocol(self, addr: object) -> Protocol:
        self.connections += 1
        near, far = _Side(self), _Side(self)
        near.other, far.other = far, near
        endpoint: Any = HostnameEndpoint(reactor, "127.0.0.1", self._server_port)
        if self._tls is not None:
            endpoint = wrapClientTLS(client_creator(None, "x"), endpoint)

        def connected(_: object) -> None:
            for data in near.waiting:
                far.transport.write(data)
            if not near.connected:
                far.transport.loseConnection()

        endpoint.connect(OneProtocol(lambda: far)).addCallback(connected).addErrback(lambda _: None)
        return near


class MiddleTests(IntegrationTestCase):
    """The token is bound to the TLS session, and a leg to the certificate."""

    async def middle(self, port: int, tls: bool) -> Middle:
        """Sit there until the end of the test."""
        state = self.folder / "middle"
        state.mkdir()
        middle = Middle(port, own_server_tls(state) if tls else None)

        async def end() -> None:
            await maybeDeferred(middle.listening.stopListening)

        self.addCleanup(end)
        return middle

    async def test_raw(self) -> None:
        """Whoever passes on raw bytes does no harm, and sees nothing: neither token nor name nor a visitor's bytes."""
        target, _ = await self.target()
        middle = await self.middle((await self.server()).address.port, tls=False)
        client = await self.open_client(middle.port, self.mapping(target))
        await self.echoes(self.port_of(client), b"a visitor's secret")
        for secret in (TOKEN.encode(), b"edge", b"a visitor's secret", b"hello"):
            self.assertNotIn(secret, middle.seen)

    async def test_control(self) -> None:
        """With a certificate of his own he fails at both ends: the server refuses the proof; nothing is opened, and the
        client does not take him for the server either."""
        self.quick()
        server = await self.server()
        middle = await self.middle(server.address.port, tls=True)
        client = self.client(middle.port, self.mapping(1))
        await self.said("was refused: auth_failed")
        await self.said("does not let this client in: auth_failed")
        self.assertIsNone(client.link.session)
        self.assertEqual((len(server.hub.sessions), server.hub.peers), (0, {}))
        self.assertIn(b'"hello"', middle.seen)
        self.assertNotIn(TOKEN.encode(), middle.seen)

    async def test_control_at_the_client(self) -> None:
        """Even if the server's check were not there, the client would refuse: its own is over its own session."""
        self.patch(
            clientlogin.ServerHandshake,
            "receive_auth",
            _accept_all(clientlogin.ServerHandshake.receive_auth),
        )
        server = await self.server()
        middle = await self.middle(server.address.port, tls=True)
        client = self.client(middle.port, self.mapping(1))
        await self.said("bad_server_mac")
        self.assertIsNone(client.link.session)
        self.assertNotIn(b'"register"', middle.seen)

    async def legs(self) -> tuple[Any, Any, Middle]:
        """A client whose control connection is direct, and whose legs go through the middle."""
        target, made = await self.target()
        server = await self.server(leg_wait=0.5)
        middle = await self.middle(server.address.port, tls=True)
        original = ControlGreeting.connectionMade

        def then_legs(greeting: Any) -> None:
            original(greeting)
            path = client.link.path
            path.address = type(path.address)("127.0.0.1", middle.port)

        self.patch(ControlGreeting, "connectionMade", then_legs)
        client = self.client(server, self.mapping(target))
        await self.until(lambda: self.is_open(client), "the control connection works")
        return server, made, middle

    async def test_legs(self) -> None:
        """On legs he fails as well: the server refuses, no visitor's byte reaches anybody."""
        server, made, middle = await self.legs()
        await self.said("was refused: auth_failed")
        (port,) = server.hub.peers["edge"].mappings.values()
        visitor = await self.connect(port.port)
        visitor.transport.write(b"a visitor's secret")
        await self.until(lambda: visitor.ended, "no leg for him")
        self.assertIn(b'"leg"', middle.seen)
        self.assertNotIn(b"a visitor's secret", middle.seen)
        self.assertEqual(made, [])

    async def test_legs_at_the_client(self) -> None:
        """Even if the server's check were not there, the client would refuse the leg."""
        self.patch(legadmission, "same", lambda a, b: True)
        _, made, middle = await self.legs()
        await self.said("the server did not prove itself on a leg")
        self.assertEqual(made, [])
        self.assertIn(b'"leg_ok"', middle.seen)


class PortableMiddleTests(MiddleTests):
    """The same, with Twisted's TLS under the legs."""

    relay = "portable"


class NeverFallsBackTests(IntegrationTestCase):
    """TLS or plain is what the files say."""

    async def test_plain_client(self) -> None:
        """It is told tls_required, and tries the same again."""
        self.quick()
        server = await self.server()
        client = self.client(server, self.mapping(1), tls=TlsClientConfig(mode="off"))
        await self.said("tls_required", 2)
        self.assertIsNone(client.link.session)

    async def test_plain_server(self) -> None:
        """A client with TLS gets no session from a server without, however often it tries."""
        self.quick()
        server = await self.server(tls=TlsServerConfig(mode="off"))
        client = self.client(server, self.mapping(1))
        await self.said("not connected to the server", 3)
        await self.said("speaks TLS, but server.tls.mode is off")
        self.assertIsNone(client.link.session)

    async def test_authorities(self) -> None:
        """client.tls.ca: with a good certificate a client works; to a server with a bad one it sends nothing, not even
        its hello, and one line says why."""
        self.quick()
        authority = Authority(self.folder)
        said: list[bytes] = []
        original = server_greeting.ServerGreeting.dataReceived

        def received(greeting: Any, data: bytes) -> None:
            said.append(data)
            original(greeting, data)

        self.patch(server_greeting.ServerGreeting, "dataReceived", received)
        trusting = TlsClientConfig(ca=authority.file)
        for kind in BAD:
            cert, key = bad_server(kind, authority, "127.0.0.1")
            server = await self.server(tls=TlsServerConfig(cert=cert, key=key))
            client = self.client(server, self.mapping(1), tls=trusting)
            before = len(self.log)
            await self.said("its certificate", 2, before)
            self.assertEqual(said, [], kind)
            await self.stop(client)
            await self.stop(server)
        self.assertEqual(said, [])
        target, _ = await self.target()
        cert, key = authority.issue("127.0.0.1")
        server = await self.server(tls=TlsServerConfig(cert=cert, key=key))
        client = await self.open_client(server, self.mapping(target), tls=trusting)
        await self.echoes(self.port_of(client))


    async def test_authorities_of_legs(self) -> None:
        """The same holds for a leg by itself: to a server with a bad certificate it sends nothing."""
        authority = Authority(self.folder)
        said: list[bytes] = []
        self.patch(server_greeting.ServerGreeting, "dataReceived", lambda greeting, data: said.append(data))
        config = ClientConfig(
            name="edge",
            token=SecretStr(TOKEN),
            server_addr=HostPort("127.0.0.1", 1),
            mappings=(self.mapping(1),),
            tls=TlsClientConfig(ca=authority.file),
            relay=self.relay,
        )
        for kind in (*BAD, "good"):
            good = kind == "good"
            cert, key = authority.issue("127.0.0.1") if good else bad_server(kind, authority, "127.0.0.1")
            server = await self.server(tls=TlsServerConfig(cert=cert, key=key), handshake_timeout=0.5)
            path = make_client(config, reactor, self.folder).link.path
            path.address = server.address
            greeting = LegGreeting(reactor, 5.0, SessionKey(bytes(16), bytes(32)), 1, "reverse")
            with self.assertRaises(GotunnelError):
                await path.greet_leg(greeting, 5.0, plain=False, sni=None)
            self.assertEqual(bool(said), good, kind)
            await self.stop(server)


class PortableNeverFallsBackTests(NeverFallsBackTests):
    """The same, with Twisted's TLS under the legs."""

    relay = "portable"


class StrangerTests(IntegrationTestCase):
    """Those who never prove anything."""

    async def test_silent_tls_peers(self) -> None:
        """A hundred who begin TLS and fall silent delay nobody; all are gone after handshake_timeout."""
        target, _ = await self.target()
        server = await self.server(handshake_timeout=1.0)
        strangers = [await self.connect(server.address.port) for _ in range(100)]
        for stranger in strangers:
            stranger.transport.write(b"\x16\x03\x01")
        began = reactor.seconds()
        client = await self.open_client(server, self.mapping(target))
        await self.echoes(self.port_of(client))
        self.assertLess(reactor.seconds() - began, 1.0)
        await self.until(lambda: all(stranger.ended for stranger in strangers), "all are gone", 3)
        self.assertEqual({stranger.received for stranger in strangers}, {b""})

    async def test_who_does_not_read(self) -> None:
        """An authenticated client that asks and does not read is not read beyond 256 KiB; others notice nothing."""
        server = await self.server(
            tls=TlsServerConfig(mode="off"), heartbeat=5.0, heartbeat_timeout=15.0, limits={"messages": 1_000_000}
        )
        handshake = ClientHandshake("rude", TOKEN, b"one", "test")
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", server.address.port)
        greeting = ControlGreeting(reactor, 5.0, handshake)
        await endpoint.connect(OneProtocol(lambda: greeting))
        greeted = await greeting.done
        silent = Protocol()
        hand_over(greeted.transport, silent, b"")
        greeted.transport.pauseProducing()
        sock = greeted.transport.getHandle()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        record = server.hub.sessions.current("rude")
        assert record is not None
        control = record.session.control
        control.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        frames = encode_frame(encode(Ping(1))) * 100_000
        greeted.transport.write(frames)  # 2 MB of pings
        await self.until(lambda: unsent_bytes(control.transport) > MOST_UNSENT, "its answers pile up")
        await self.pause(0.3)
        self.assertLess(unsent_bytes(control.transport), MOST_UNSENT + 200_000)
        self.assertNotIn(control.transport, reactor.getReaders())
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target), tls=TlsClientConfig(mode="off"))
        await self.echoes(self.port_of(client))
        greeted.transport.abortConnection()

    async def test_hostile_client_in_the_log(self) -> None:
        """Whatever a client says of itself, a log line is one line of printable characters."""
        server = await self.server(tls=TlsServerConfig(mode="off"))
        evil = "x\r\n[INFO] admin ok\x1b[2J"
        for hello in (
            {"type": "hello", "v": 2, "min_v": 2, "client": evil, "nonce": "A" * 43},
            {"type": evil},
            {"type": "register", "name": evil},
        ):
            peer = await self.connect(server.address.port)
            peer.transport.write(encode_frame(json.dumps(hello).encode()))
            await self.until(lambda p=peer: p.ended, "the close")  # type: ignore[misc]
        self.assertTrue(all(line.isprintable() for line in self.lines()))


class SecretTests(IntegrationTestCase):
    """What no log may ever hold."""

    async def test_full_run(self) -> None:
        """At debug level, through logins good and bad, legs, plain legs, a reconnect and the end: no event holds the
        token, a key or a MAC, as text, hex or base64, neither formatted nor among its values."""
        self.debug()
        self.quick()
        secrets: set[bytes] = {TOKEN.encode()}
        noted: tuple[tuple[Any, tuple[str, ...]], ...] = (
            (client_greeting, ("leg_client_mac", "leg_server_mac")),
            (legadmission, ("leg_client_mac", "leg_server_mac")),
            (FORM, ("prove",)),
            (handshake_module, ("client_mac", "server_mac", "session_key", "derive_key")),
            (identities_module, ("derive_key",)),
        )
        for module, names in noted:
            for name in names:
                self.patch(module, name, _noting(getattr(module, name), secrets))
        target, _ = await self.target()
        server = await self.server(allow_plain_legs=True)
        client = await self.open_client(
            server,
            self.mapping(target, "sealed"),
            self.mapping(target, "open", encrypt=False),
            self.mapping(1, "closed"),
        )
        await self.echoes(self.port_of(client, "sealed"))
        await self.echoes(self.port_of(client, "open"))
        refused = await self.connect(self.port_of(client, "closed"))
        await self.until(lambda: refused.ended, "the refusal")
        self.client(server, self.mapping(1), name="wrong", token="c94e01b7d6f85a2338e07b1f6ad95c42")
        await self.said("auth_failed")
        old = client.link.session
        assert old is not None
        old.control.transport.abortConnection()
        await self.until(lambda: client.link.session not in (None, old), "a new session")
        await self.stop(client)
        await self.stop(server)
        self.assertGreater(len(secrets), 12)
        everything = "\n".join(
            [*self.lines(), *(repr(sorted((k, repr(v)) for k, v in event.items())) for event in self.log)]
        )
        self.assertGreater(len(everything), 5000)
        for secret in secrets:
            for shown in (
                secret.hex(),
                base64.b64encode(secret).decode().rstrip("="),
                base64.urlsafe_b64encode(secret).decode().rstrip("="),
                repr(secret)[2:-1],
            ):
                self.assertNotIn(shown, everything)


class NothingLeftTests(IntegrationTestCase):
    """Normal events, many times."""

    async def test_three_hundred_reconnects(self) -> None:
        """Descriptors, timers and readers are what they were; the port was bound once."""
        self.quick(0.0005, 0.001)
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        listener = server.hub.peers["edge"].mappings["web"]._listening

        async def settled() -> None:
            await self.until(lambda: client.link.session is not None and self.is_open(client), "connected")
            record = server.hub.sessions.current("edge")
            assert record is not None
            await self.until(lambda: len(record.session._legs) >= 2, "its two legs")
            await self.until(lambda: len(server.hub._present) == 1, "older sessions are gone")
            await self.until(lambda: len(client.link._sessions) == 1, "there, too")

        def held() -> tuple[int, int, int]:
            return self.descriptors(), len(reactor.getDelayedCalls()), len(reactor.getReaders())

        await settled()
        before = held()
        for _ in range(300):
            session = client.link.session
            assert session is not None
            session.control.transport.abortConnection()
            await self.until(
                lambda s=session: client.link.session not in (None, s) and self.is_open(client), "back"  # type: ignore[misc]
            )
        await settled()
        # A leg more than at the start may be there, and a close under way; 300 sessions that leave something are not.
        await self.until(
            lambda: all(now - then <= 8 for now, then in zip(held(), before, strict=True)), "as it was before"
        )
        self.assertIs(server.hub.peers["edge"].mappings["web"]._listening, listener)
        await self.echoes(self.port_of(client))

    async def test_two_hundred_clients(self) -> None:
        """200 clients that come, register, serve nobody and go."""
        self.patch(keeping, "GRACE", 0.01)
        target, _ = await self.target()
        server = await self.server()
        await self.pause(0.01)  # the reactor runs now, and has opened what it needs itself
        before = self.descriptors(), len(reactor.getReaders())
        for _ in range(200):
            await self.stop(await self.open_client(server, self.mapping(target)))
        await self.until(lambda: not server.hub.peers and not server.hub._present, "all are forgotten")
        await self.until(lambda: (self.descriptors(), len(reactor.getReaders())) == before, "as before")

    async def test_visitors_who_leave(self) -> None:
        """300 visitors who go away at once, some of them before they are served: all are counted, nothing is left."""
        target, _ = await self.target()
        server = await self.server()
        client = await self.open_client(server, self.mapping(target))
        for number in range(300):
            visitor = await self.connect(self.port_of(client))
            if number % 3:
                visitor.transport.write(b"x" * 1000)
            visitor.transport.abortConnection()
        await self.until(lambda: not server.hub.live, "all are over")
        self.assertEqual(server.hub.outcomes.total(), server.hub.visitors_total)
        await self.echoes(self.port_of(client))


def _accept_all(original: Any) -> Any:
    def receive_auth(handshake: Any, payload: bytes, cb: bytes) -> None:
        server_greeting_same = original.__globals__["same"]
        original.__globals__["same"] = lambda a, b: True
        try:
            original(handshake, payload, cb)
        finally:
            original.__globals__["same"] = server_greeting_same
        handshake._key = derive_key(TOKEN, handshake.hello.client)  # of those that all fit now, the client's

    return receive_auth


def _noting(original: Any, secrets: set[bytes]) -> Any:
    def noting(*args: Any) -> bytes:
        found: bytes = original(*args)
        secrets.add(found)
        return found

    return noting


