"""The control port's door: first bytes, the deadline, and how many strangers may wait."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.protocols.tls import BufferingTLSTransport

from gotunnel.net.biotls import BioTls
from gotunnel.net.owncert import own_pair
from gotunnel.net.tls import ServerTls, own_server_tls, server_tls
from gotunnel.server.reception import LEGS_AT_ONCE, NO_TLS, Door
from gotunnel.server.session import ServerSession
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.messages import Error
from tests.server.world import ServerTestCase, World
from tests.wire.test_clienthello import hello, with_key_share


def own_tls(case: ServerTestCase) -> ServerTls:
    """Return a server's TLS with a certificate of its own, for legs too."""
    state = Path(case.mktemp())
    state.mkdir()
    return server_tls(own_pair(state), legs=True)


HELLO = (
    b'{"type":"hello","v":2,"min_v":2,"client":"edge","nonce":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}'
)


class FirstByteTests(ServerTestCase):
    """Section 1: the first byte decides."""

    def test_every_byte(self) -> None:
        """0x00 is a frame, 0x16 is TLS, which gets an alert where TLS is off; all other first bytes close at once and
        without an answer."""
        world = self.world()
        for first in range(256):
            transport = world.connect(f"192.0.2.{first}")
            transport.say_bytes(bytes([first]) + b"GET / HTTP/1.1\r\n\r\n")
            if first == 0:
                self.assertEqual([type(m) for m in transport.heard()], [Error])
            elif first == 0x16:
                transport.say_bytes(b"more")
                self.assertEqual((transport.value(), transport.closed, transport.aborted), (NO_TLS, True, False))
            else:
                self.assertEqual((transport.value(), transport.aborted), (b"", True), first)
            world.clock.advance(0)
        self.assertEqual(world.reception.strangers, 0)

    def test_tls_hello(self) -> None:
        """0x16 starts TLS where there is TLS: what comes back is a TLS record."""
        state = Path(self.mktemp())
        state.mkdir()
        world = World(tls=own_server_tls(state))
        transport = world.connect()
        transport.say_bytes(b"\x16\x03\x01\x00\x05hello")
        self.assertEqual(transport.value()[:1], b"\x15")  # an alert, as that was no ClientHello
        self.assertTrue(transport.gone)

    def test_hello_in_pieces(self) -> None:
        """A ClientHello with a key share of ML-KEM, longer than a segment of TCP, may come in any pieces, a leg's and
        another's: TLS begins with the last of them, and not before, and goes on."""
        world = World(tls=own_tls(self))
        kinds = []
        for name in ("0123456789abcdef.legs.gotunnel", "tunnel.example.com"):
            whole = with_key_share(hello(name))
            for size in (1, 536, 1460):
                transport = world.connect()
                *pieces, last = (whole[at : at + size] for at in range(0, len(whole), size))
                for piece in pieces:
                    transport.say_bytes(piece)
                self.assertEqual((transport.value(), type(transport.protocol)), (b"", Door), (name, size))
                transport.say_bytes(last)
                self.assertEqual(transport.value()[:1], b"\x16", (name, size))  # its ServerHello
                kinds.append(type(transport.protocol))
        self.assertEqual(kinds, 3 * [BioTls] + 3 * [BufferingTLSTransport])

    def test_byte_by_byte(self) -> None:
        """A frame may come in any pieces."""
        transport = self.world().connect()
        for byte in encode_frame(HELLO):
            transport.say_bytes(bytes([byte]))
        self.assertEqual([type(m).__name__ for m in transport.heard()], ["Challenge"])


class DeadlineTests(ServerTestCase):
    """From accept to the proof there is one absolute deadline."""

    def test_silent(self) -> None:
        """Whoever says nothing is closed after handshake_timeout, without an answer."""
        world = self.world(handshake_timeout=5.0)
        transport = world.connect()
        world.clock.advance(4.99)
        self.assertFalse(transport.aborted)
        world.clock.advance(0.02)
        self.assertEqual((transport.aborted, transport.value()), (True, b""))
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_drip(self) -> None:
        """One byte every 2 s does not move it: not before the first frame, not behind the challenge."""
        for first in (b"", encode_frame(HELLO)):
            world = self.world(handshake_timeout=5.0)
            transport = world.connect()
            if first:
                transport.say_bytes(first)
            for byte in encode_frame(HELLO)[:2]:
                world.clock.advance(2)
                transport.say_bytes(bytes([byte]))
            self.assertFalse(transport.aborted)
            world.clock.advance(1.01)
            self.assertTrue(transport.aborted)

    def test_tls_handshake_counts(self) -> None:
        """The time for the TLS handshake is part of it."""
        state = Path(self.mktemp())
        state.mkdir()
        world = World(tls=own_server_tls(state), handshake_timeout=5.0)
        transport = world.connect()
        for _ in range(2):
            world.clock.advance(2)
            transport.say_bytes(b"\x16")
        world.clock.advance(1.01)
        self.assertTrue(transport.aborted)

    def test_over_with_the_proof(self) -> None:
        """Once somebody has proved himself it is off."""
        world = self.world(handshake_timeout=5.0)
        client = world.login()
        world.clock.advance(5.1)
        self.assertFalse(client.transport.gone)


class CrowdTests(ServerTestCase):
    """How many may be unauthenticated."""

    def test_per_address(self) -> None:
        """At the limit of an address its oldest goes; other addresses are left alone."""
        world = self.world(limits={"unauthenticated_per_address": 3})
        other = world.connect("192.0.2.9")
        mine = [world.connect("192.0.2.1") for _ in range(5)]
        self.assertEqual([t.aborted for t in mine], [True, True, False, False, False])
        self.assertFalse(other.aborted)
        self.assertEqual(world.reception.strangers, 4)

    def test_in_all(self) -> None:
        """At the limit of all, the oldest of the most crowded address goes."""
        world = self.world(limits={"unauthenticated": 4, "unauthenticated_per_address": 32})
        alone = world.connect("192.0.2.1")
        crowd = [world.connect("192.0.2.2") for _ in range(3)]
        world.connect("192.0.2.3")
        self.assertFalse(alone.aborted)
        self.assertEqual([t.aborted for t in crowd], [True, False, False])
        self.assertEqual(world.reception.strangers, 4)

    def test_place_is_free_again(self) -> None:
        """Somebody who is let in, or leaves, takes no place any more."""
        world = self.world(limits={"unauthenticated_per_address": 1})
        client = world.login()
        gone = world.connect()
        gone.lose()
        world.connect()
        self.assertFalse(client.transport.gone)
        self.assertEqual(world.reception.strangers, 1)

    def test_refused_keep_their_place(self) -> None:
        """Somebody who was refused and does not go keeps his place, or refusals would be free; two seconds at most."""
        world = self.world(limits={"unauthenticated_per_address": 2})
        refused = [world.connect(holds=True) for _ in range(2)]
        for transport in refused:
            transport.say_json(b'{"type":"ping","n":1}')
            self.assertEqual((transport.closed, transport.aborted), (True, False))
        self.assertEqual(world.reception.strangers, 2)
        world.connect()
        self.assertEqual([t.aborted for t in refused], [True, False])
        world.clock.advance(2.0)
        self.assertTrue(refused[1].aborted)
        world.clock.advance(0)
        self.assertEqual(world.reception.strangers, 1)

    def test_expected_legs_are_outside(self) -> None:
        """As many as legs were asked for from an address come in beside its limit, and no more."""
        world = self.world(limits={"unauthenticated_per_address": 1})
        client = world.login()
        client.heard()
        self.assertEqual(sum(need.count for need in client.needed), 2)
        strangers = [world.connect() for _ in range(2)]
        legs = [world.connect() for _ in range(2)]
        self.assertEqual([t.aborted for t in (*strangers, *legs)], [True, False, False, False])
        elsewhere = world.connect("192.0.2.2")
        world.connect("192.0.2.2")
        self.assertTrue(elsewhere.aborted)
        for leg in legs:
            leg.say(client.leg_message())
        self.assertEqual(len(world.relay.legs), 2)

    def test_flood_from_next_door(self) -> None:
        """A client shares its address with somebody who floods the server: its legs come in all the same, told by the
        server name that only they know; silent connections push out only each other."""
        world = World(tls=own_tls(self))
        session = self.session_at(world, "192.0.2.1")
        leg, guess = world.connect(), world.connect()
        leg.say_bytes(hello(session.leg_sni))
        guess.say_bytes(hello("0123456789abcdef.legs.gotunnel"))
        flood = [world.connect() for _ in range(1000)]
        self.assertEqual((leg.aborted, guess.aborted), (False, True))
        self.assertEqual(sum(not transport.aborted for transport in flood), 32)
        self.assertEqual(leg.value()[:1], b"\x16")  # TLS goes on
        world.clock.advance(5.1)
        self.assertTrue(leg.aborted)  # its deadline is the same
        world.clock.advance(0)
        self.assertEqual((world.reception.strangers, world.reception._legs), (0, Counter()))

    def test_legs_at_once(self) -> None:
        """Who reads the name on the path gets no more than a bounded number of places with it; the others are strangers
        like all."""
        world = World(tls=own_tls(self))
        session = self.session_at(world, "192.0.2.1")
        asking = []
        for _ in range(2 * LEGS_AT_ONCE):
            asking.append(world.connect())
            asking[-1].say_bytes(hello(session.leg_sni))
        self.assertEqual(sum(not transport.aborted for transport in asking), LEGS_AT_ONCE + 32)

    def test_name_dies_with_the_session(self) -> None:
        """Once the session is lost its name opens nothing."""
        world = World(tls=own_tls(self), limits={"unauthenticated_per_address": 1})
        session = self.session_at(world, "192.0.2.1")
        world.hub.session_lost(session)
        leg = world.connect()
        leg.say_bytes(hello(session.leg_sni))
        world.connect()
        self.assertTrue(leg.aborted)
        self.assertFalse(world.hub.origins.live_at("192.0.2.1"))

    @staticmethod
    def session_at(world: World, host: str) -> ServerSession:
        """Return a session that expects no legs just now."""
        peer = world.hub.peer("edge")
        session = ServerSession(world.hub, peer, b"s" * 16, b"k" * 32, b"k" * 32, host, f"{host}:1")
        world.hub.origins.add(session)
        return session

    def test_close_all(self) -> None:
        """The end turns all of them out, those just refused included, and leaves no timer."""
        world = self.world()
        world.login().heard()
        waiting = [world.connect(), world.connect(), world.connect()]
        refused = world.connect(holds=True)
        refused.say_json(b'{"type":"ping","n":1}')
        before = len(world.clock.getDelayedCalls())
        world.reception.close_all()
        world.clock.advance(0)
        self.assertEqual([t.aborted for t in (*waiting, refused)], [True] * 4)
        self.assertEqual(before - len(world.clock.getDelayedCalls()), 4)
        self.assertEqual(world.reception.strangers, 0)

    def test_log_is_limited(self) -> None:
        """A thousand strangers do not write a thousand lines."""
        observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        world = self.world(handshake_timeout=5.0)
        for number in range(1000):
            world.connect(f"10.0.{number // 100}.1").say_json(b"{}")
            world.clock.advance(0.01)
        self.assertLess(len(observer), 80)
