"""Whoever has seen, kept, guessed or forged a proof: recorded handshakes, legs in all their wrong forms by the
thousand, and a server that talks a client into an older protocol. Nothing of it is accepted, and who is in the right is
served."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake, leg_client_mac, leg_server_mac
from gotunnel.wire.messages import Error, Leg, encode
from tests.client import world as client_world
from tests.e2e.harness import TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.hostile import raw
from tests.server.world import TOKEN, Client, ServerTestCase, World

SEED = 20261123
FORGED = 10_000


class LegAbuseTests(ServerTestCase):
    """The first message of a leg is a ticket: for one session, one number, one purpose and one certificate."""

    def setUp(self) -> None:
        """A session that is over, one of somebody else, and ours, of which one number is spent."""
        self.rng = random.Random(SEED)
        # Penalties would refuse him unheard after a moment, and that is tried elsewhere.
        self.it = World(penalties={"enabled": False})
        self.gone = self.it.login("gone")
        self.gone.transport.lose()
        self.it.clock.advance(60)
        self.other = self.it.login("other")
        self.client = self.it.login("edge")
        self.spent = self.client.leg_message(seq=5000)
        self.bring(self.spent)
        self.kinds: dict[str, Callable[[], Leg]] = {
            "unknown session": lambda: self.ticket(self.client, sid=self.rng.randbytes(16)),
            "session that is over": lambda: self.ticket(self.gone),
            "number that was used": lambda: self.spent,
            "number below the window": lambda: self.ticket(self.client, seq=self.rng.randint(0, 904)),
            "key of another session": lambda: self.ticket(self.client, ks=self.other.established.ks),
            "id of another session": lambda: self.ticket(self.client, sid=self.other.established.sid),
            "other purpose": lambda: self.ticket(self.client, said="forward"),
            "other number": lambda: self.ticket(self.client, says=self.rng.randint(6000, 2**64 - 1)),
            "other certificate": lambda: self.ticket(self.client, cb=self.rng.randbytes(32)),
            "the server's own proof": self.echoed,
            "random": lambda: Leg(self.client.established.sid, self.number(), "reverse", self.rng.randbytes(32)),
            "all random": lambda: Leg(self.rng.randbytes(16), self.number(), "forward", self.rng.randbytes(32)),
            "one bit": self.one_bit,
        }

    def number(self) -> int:
        """Return a number that was not used."""
        return self.rng.randint(6000, 2**64 - 1)

    def ticket(
        self,
        client: Client,
        *,
        sid: bytes | None = None,
        ks: bytes | None = None,
        seq: int | None = None,
        says: int | None = None,
        said: str = "reverse",
        cb: bytes = NO_BINDING,
    ) -> Leg:
        """Make the first message of a leg for a session, with one thing in it that is not so."""
        own, number = client.established, self.number() if seq is None else seq
        mac = leg_client_mac(own.ks if ks is None else ks, own.sid, number, "reverse", cb)
        return Leg(own.sid if sid is None else sid, number if says is None else says, said, mac)  # type: ignore[arg-type]

    def echoed(self) -> Leg:
        """Return a leg with what the server would answer to it."""
        own, number = self.client.established, self.number()
        return Leg(own.sid, number, "reverse", leg_server_mac(own.ks, own.sid, number, "reverse", NO_BINDING))

    def one_bit(self) -> Leg:
        """Return a good one, but for one bit of its proof."""
        good = self.client.leg_message(seq=self.number())
        at = self.rng.randrange(256)
        mac = (int.from_bytes(good.mac, "big") ^ 1 << at).to_bytes(32, "big")
        return Leg(good.sid, good.seq, good.purpose, mac)

    def bring(self, leg: Leg) -> str:
        """Bring it; return the code with which it is refused, or nothing."""
        transport = self.it.connect("192.0.2.200")
        transport.say(leg)
        (answer,) = transport.heard()
        self.it.clock.advance(0)
        if isinstance(answer, Error):
            self.assertTrue(transport.gone)
            return answer.code
        return ""

    def test_ten_thousand(self) -> None:
        """Forged, replayed and misplaced ones: none is accepted, and the next good one is; it serves the visitor."""
        port = self.client.publish(8080)
        before, names = len(self.it.relay.legs), sorted(self.kinds)
        codes: dict[str, Counter[str]] = {name: Counter() for name in names}
        for number in range(FORGED):
            name = names[number % len(names)]
            codes[name][self.bring(self.kinds[name]())] += 1
        print("\n" + "\n".join(f"{name:26}{dict(count)}" for name, count in codes.items()))
        self.assertEqual(len(self.it.relay.legs), before)
        for name, count in codes.items():
            self.assertEqual(count[""], 0, name)
            expected = "no_session" if "over" in name or name in ("unknown session", "all random") else "auth_failed"
            self.assertEqual(set(count), {expected}, name)
        self.assertEqual(self.bring(self.client.leg_message(seq=5001)), "", "no number was spent in vain")
        port.visit()
        self.assertIn("busy", [each.state for each in self.it.relay.legs])
        self.assertEqual(self.flushLoggedErrors(), [])


class RecordedTests(TunnelTestCase):
    """Against a real server, inside TLS and without."""

    def test_recorded_login(self) -> None:
        """A hello and an auth that were good once are worth nothing in another connection."""
        for mode in ("required", "off"):
            self.control = self.port()
            server = self.server(name=f"server-{mode}", tls={"mode": mode})
            tls = mode != "off"
            handshake = ClientHandshake("edge", self.token, b"one", "test")
            first = raw.connect(self.host, self.control, tls=tls)
            hello = encode_frame(handshake.hello())
            first.send(hello)
            auth = encode_frame(handshake.receive_challenge(first.payload() or b"", first.control_binding()))
            first.send(auth)
            self.assertIn(b'"auth_ok"', first.payload() or b"")
            for _ in range(20):
                again = raw.connect(self.host, self.control, tls=tls)
                again.send(hello)
                self.assertIn(b'"challenge"', again.payload() or b"")
                again.send(auth)
                self.assertIn(b'"auth_failed"', again.payload() or b"")
                self.assertIsNone(again.payload())
                again.close()
            first.close()
            self.assertEqual(server.count("client edge connected"), 1)

    def test_recorded_leg(self) -> None:
        """A leg that was good on one connection is refused on the next; the session and its visitors are as before."""
        self.server()
        public = self.port()
        self.client({"good": (Service(self, echo).address, public)})
        session = raw.login(self.host, self.control, "edge", self.token, tls=True)
        leg = raw.connect(self.host, self.control, tls=True)
        message = session.leg_message(leg)
        leg.say(message)
        self.assertIn(b'"leg_ok"', leg.payload() or b"")
        for _ in range(20):
            again = raw.connect(self.host, self.control, tls=True)
            again.say(message)
            self.assertIn(b'"auth_failed"', again.payload() or b"")
            again.close()
        self.assert_echo(public)
        leg.close()
        session.control.close()


class DowngradeTests(client_world.ClientTestCase):
    """A server, or somebody in between, that speaks an older protocol."""

    def test_no_token_ever(self) -> None:
        """Whatever stands in place of a challenge, no byte that the client sends holds its token, and it goes on to try
        version 2."""
        world = client_world.World()
        world.links.start()
        for answer in (
            b'{"type":"register_resp","status":"fail","reason":"authentication failed"}',
            b'{"type":"register_resp","status":"ok"}',
            b'{"type":"challenge","v":1,"sid":"AAECAwQFBgcICQoLDA0ODw","nonce":"' + b"A" * 43 + b'"}',
            encode(Error("version", "only version 1 here")),
            encode(Error("auth_failed", "send your token", 86400)),
            b'{"type":"open_data_channel","local_port":22}',
            b'{"type":"pong","time":1}',
        ):
            before = len(world.path.attempts)
            world.server().transport.say_json(answer)
            world.run_until(lambda n=before: len(world.path.attempts) > n, 200)  # type: ignore[misc]
        for _, _, transport, _ in world.path.attempts:
            sent = transport.value()
            self.assertTrue(sent[4:].startswith(b'{"type":"hello","v":2,"min_v":2,'), sent)
            self.assertNotIn(TOKEN.encode(), sent)
            self.assertNotIn(b"token", sent)
