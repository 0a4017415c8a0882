"""What is right in itself, said in the wrong place: a control connection on the TLS of legs, a leg that belongs to
another connection, and what a peer may pile up by asking for it again and again."""

from __future__ import annotations

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher

from gotunnel.logs import Logger
from gotunnel.net.warnings import Warnings
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake
from gotunnel.wire.messages import (
    AuthOk,
    Challenge,
    Drain,
    DrainOk,
    Error,
    LegOk,
    MappingRequest,
    MappingResult,
    Ping,
    Register,
    RegisterResp,
    Unregister,
)
from tests.client import world as client_world
from tests.e2e.harness import TunnelTestCase
from tests.hostile import raw
from tests.server.world import ServerTestCase, World


class LegTlsTests(TunnelTestCase):
    """Legs may run on a TLS that has no exporter: no proof of a control connection could be bound to it."""

    def test_control_connection(self) -> None:
        """Under the server name of legs no control connection is begun. Else somebody in the middle could put a client
        whose file says `tls.mode: off` into TLS of his own making, and the server would take it for a safe one."""
        self.server()
        for tls, sni in ((True, b"legs.gotunnel"), (True, None), (False, None)):
            connection = raw.connect(self.host, self.control, tls=tls, sni=sni)
            connection.send(encode_frame(ClientHandshake("edge", self.token, b"one", "test").hello()))
            answer = connection.hear()
            if sni is None and tls:
                self.assertIsInstance(answer, Challenge)
                connection.close()
                continue
            self.assertIsInstance(answer, Error)
            self.assertIsNone(connection.hear())

    def test_zeros_inside_tls(self) -> None:
        """A proof that is bound to nothing is refused inside TLS."""
        self.server()
        connection = raw.connect(self.host, self.control, tls=True)
        handshake = ClientHandshake("edge", self.token, b"one", "test")
        connection.send(encode_frame(handshake.hello()))
        connection.send(encode_frame(handshake.receive_challenge(connection.payload() or b"", NO_BINDING)))
        answer = connection.hear()
        self.assertIsInstance(answer, Error)
        self.assertNotIsInstance(answer, AuthOk)

    def test_legs_on_either_tls(self) -> None:
        """A leg is taken under that name and without it, but only with the certificate that it came by."""
        self.server()
        session = raw.login(self.host, self.control, "edge", self.token, tls=True)
        for sni in (b"legs.gotunnel", None):
            connection = raw.connect(self.host, self.control, tls=True, sni=sni)
            connection.say(session.leg_message(connection))
            self.assertIsInstance(connection.hear(), LegOk)
            connection.close()
            unbound = raw.connect(self.host, self.control, tls=True, sni=sni)
            unbound.say(session.leg_message(raw.Raw(unbound.sock, None)))
            self.assertIsInstance(unbound.hear(), Error)
            unbound.close()
        session.control.close()


class PileTests(ServerTestCase):
    """An authenticated client that asks for ever new things."""

    def test_names(self) -> None:
        """Of mappings that came and went nothing is left."""
        client = World().login()
        peer = client.world.hub.peers["edge"]
        for number in range(300):
            name = f"mapping-{number}"
            (result,) = client.register(MappingRequest(name, 8080), more=True)
            self.assertEqual(result.status, "ok")
            client.say(Unregister(number, (name,)))
            client.world.clock.advance(0)
            client.world.clock.advance(0)
            client.heard()
        self.assertEqual((peer.mappings, peer.published._named), ({}, set()))

    def test_ports(self) -> None:
        """Nor of those that were refused."""
        client = World().login()
        peer = client.world.hub.peers["edge"]
        for number in range(100):
            client.say(Register(number, tuple(MappingRequest(f"m{number}-{n}", 22) for n in range(50)), True))
            client.world.clock.advance(0)
            client.heard()
        self.assertEqual((peer.mappings, peer.published._named), ({}, set()))


class PaceTests(client_world.ClientTestCase):
    """A server that wants a ping each microsecond."""

    def test_heartbeat(self) -> None:
        """It gets ten a second, and no busy loop."""
        world = client_world.World()
        server = world.connected(heartbeat=1e-300, timeout=1e-6)
        server.heard()
        for _ in range(100):
            world.clock.advance(0.01)
            server.say(Ping(1))
        pings = [message for message in server.heard() if isinstance(message, Ping)]
        self.assertLess(len(pings), 12)
        self.assertGreater(len(pings), 7)


class LogTests(client_world.ClientTestCase):
    """A server that wants to fill the log of a client, or a client that of a server."""

    def setUp(self) -> None:
        """A client that is connected."""
        self.it = client_world.World()
        self.server = self.it.connected()
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def lines(self, words: str) -> int:
        """Count the lines with these words."""
        return sum(words in str(formatEvent(event)) for event in self.log)

    def test_drain(self) -> None:
        """That it stops soon is worth one line, however often it says so; each is answered."""
        for _ in range(1000):
            self.server.say(Drain(1000))
        self.assertEqual(self.lines("about to stop"), 1)
        self.assertEqual(sum(isinstance(message, DrainOk) for message in self.server.heard()), 1000)

    def test_results(self) -> None:
        """A frame full of words on one mapping is one word on it."""
        (register,) = [message for message in self.server.heard() if isinstance(message, Register)]
        result = MappingResult("web", "fail", None, "limit", "because")
        self.server.say(RegisterResp(register.id, "ok", (result,) * 600))
        self.assertEqual(self.lines("refused by the server "), 1)

    def test_broken_legs(self) -> None:
        """Legs that break the protocol, and OPENs that are none, draw some lines, and then one a second."""
        self.server.grant()
        for _ in range(200):
            (leg,) = self.server.legs()
            leg.receive_open(b"[]")
            (leg,) = self.server.legs()
            leg.owner.leg_lost(leg, "protocol error: DATA in state IDLE")
            self.it.clock.advance(0)
        for words in ("bad OPEN", "broke the protocol: DATA in state IDLE"):
            self.assertGreater(self.lines(words), 5)
            self.assertLess(self.lines(words), 20)

    def test_broken_legs_at_the_server(self) -> None:
        """The same for those of a hostile client."""
        client = World().login()
        for _ in range(200):
            leg = client.bring_leg()
            leg.state = "closed"
            leg.owner.leg_lost(leg, "protocol error: DATA in state IDLE")
        self.assertGreater(self.lines("broke the protocol: DATA in state IDLE"), 5)
        self.assertLess(self.lines("broke the protocol"), 20)

    def test_many_kinds(self) -> None:
        """Nor does a peer get more lines by thinking of more names."""
        warnings = Warnings(Logger("gotunnel.tests"), self.it.clock)
        for number in range(5000):
            warnings.warn(f"name {number}", "something about {name}", name=number)
        self.assertGreater(self.lines("something about"), 10)
        self.assertLess(self.lines("something about"), 400)
