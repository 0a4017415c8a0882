"""What is right in itself, said in the wrong place: a control connection on the TLS of legs, a leg that belongs to
another connection, and what a peer may pile up by asking for it again and again."""

from __future__ import annotations

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake
from gotunnel.wire.messages import (
    AuthOk,
    Challenge,
    Error,
    LegOk,
    MappingRequest,
    Ping,
    Register,
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
