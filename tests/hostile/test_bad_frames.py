"""Ten thousand bad frames against a running server, in every stage of a connection: each is answered and closed as the
contract says, and the server is afterwards what it was before."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.legs import LegFrame, encode_leg_frame
from gotunnel.wire.messages import (
    Drain,
    DrainOk,
    LegOk,
    MappingRequest,
    NeedLegs,
    Register,
    RegisterResp,
    decode,
    encode,
)
from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.hostile import raw
from tests.hostile.badframes import BANNERS, CONTROL, FIRST, LEG, Kind

SEED = 20261123
OUTER = 5.0
"""Seconds after which a connection counts as left open. They close in milliseconds; this is for a machine that is busy,
and less than `handshake_timeout` here, which must not be what closes them."""
GROWTH = 2 * 1024 * 1024
"""Bytes that the server may hold more than after the first frames of each kind."""

ANSWERED = ("error",)
ANSWERED_FIRST = ("error", "register_resp")  # a first frame of version 1 is refused in its own words

PLAIN = {
    "before hello": 3200,
    "banner": 700,
    "TLS": 100,
    "after challenge": 2000,
    "authenticated": 2000,
    "before a leg's proof": 800,
    "idle leg": 600,
    "dialling leg": 300,
    "streaming leg": 300,
}
SEALED = {"before hello": 120, "after challenge": 120, "authenticated": 160, "before a leg's proof": 60, "idle leg": 60}


class BadFrameTests(TunnelTestCase):
    """A real server, a real client that is served all the while, and somebody who breaks rules."""

    def setUp(self) -> None:
        super().setUp()
        self.rng = random.Random(SEED)
        self.tls = True
        self.latest = 0.0
        self.counts: Counter[str] = Counter()
        self.stages: Mapping[str, Callable[[], None]] = {
            "before hello": self.before_hello,
            "banner": self.banner,
            "TLS": self.tls_banner,
            "after challenge": self.after_challenge,
            "authenticated": self.authenticated,
            "before a leg's proof": self.before_proof,
            "idle leg": self.idle_leg,
            "dialling leg": self.dialling_leg,
            "streaming leg": self.streaming_leg,
        }

    # Each stage.

    def connect(self) -> raw.Raw:
        """Connect; what is not closed in time fails the test."""
        connection = raw.connect(self.host, self.control, tls=self.tls)
        connection.patience(OUTER)
        return connection

    def pick(self, kinds: Mapping[str, Kind]) -> tuple[str, bytes]:
        """Make one bad frame."""
        name = self.rng.choice(sorted(kinds))
        return name, kinds[name](self.rng)

    def closed(self, connection: raw.Raw, name: str, bad: bytes, answers: tuple[str, ...]) -> None:
        """Send the bad frame. The last words are one of `answers` (none of them: nothing at all), then the end."""
        began = time.monotonic()
        connection.send(bad)
        heard = []
        try:
            while (payload := connection.payload()) is not None:
                heard.append(payload)
        except TimeoutError:
            self.fail(f"{name} was not closed: {bad[:80]!r}; heard {heard}")
        finally:
            connection.close()
        self.latest = max(self.latest, time.monotonic() - began)
        self.counts[name] += 1
        if answers == ():
            self.assertEqual(heard, [], f"{name}: {bad[:80]!r}")
            return
        self.assertTrue(heard, f"{name} was closed without an answer: {bad[:80]!r}")
        kinds = [b'"type":"%s"' % answer.encode() in heard[-1] for answer in answers]
        self.assertTrue(any(kinds), f"{name}: {bad[:80]!r}: {heard}")
        for message in map(decode, heard[:-1]):
            self.assertIsInstance(message, NeedLegs, f"{name}: {bad[:80]!r}")

    def before_hello(self) -> None:
        """The first frame is bad."""
        self.closed(self.connect(), *self.pick(FIRST), ANSWERED_FIRST)

    def banner(self) -> None:
        """It is another protocol, or a length above 16 MiB: closed without an answer."""
        length = self.rng.randint(2**24, 2**32 - 1) & ~(0x16 << 24) | 1 << 24
        bad = self.rng.choice((*[each for each in BANNERS if each[0] not in (0, 0x16)], length.to_bytes(4, "big")))
        self.closed(self.connect(), "banner", bad, ())

    def tls_banner(self) -> None:
        """It is TLS, which this server does not speak: whoever came with it is told so in its own words."""
        connection = self.connect()
        connection.send(self.rng.choice([each for each in BANNERS if each[0] == 0x16]))
        self.assertEqual(connection.rest()[:2], b"\x15\x03", "an alert")
        connection.close()
        self.counts["TLS"] += 1

    def after_challenge(self) -> None:
        """auth is bad."""
        connection = self.connect()
        connection.send(encode_frame(ClientHandshake("bad", self.token, b"bad", "bad").hello()))
        self.assertIn(b'"challenge"', connection.payload() or b"")
        self.closed(connection, *self.pick(FIRST), ANSWERED)

    def authenticated(self) -> None:
        """The control connection of a client that was let in."""
        session = raw.login(self.host, self.control, "bad", self.token, tls=self.tls, instance=b"bad")
        session.control.patience(OUTER)
        self.closed(session.control, *self.pick(CONTROL), ANSWERED)

    def before_proof(self) -> None:
        """A leg with one thing wrong."""
        connection = self.connect()
        good = encode_frame(encode(self.holder.leg_message(connection)))
        name, bad = "leg", good
        while bad == good:
            # The last field, the version, is its own default: with another name nobody would miss it.
            at = self.rng.randrange(4, good.index(b',"v"'))
            bad = good[:at] + bytes([self.rng.randrange(256)]) + good[at + 1 :]
        if self.rng.random() < 0.2:
            name, bad = "bytes behind leg", good + b"\0"
        self.closed(connection, name, bad, ANSWERED_FIRST)

    def leg(self) -> raw.Raw:
        """Bring a leg."""
        connection = self.holder.leg(tls=self.tls)
        connection.patience(OUTER)
        return connection

    def idle_leg(self) -> None:
        """A leg with nobody on it: nothing is due there."""
        kinds = {**LEG, "rst": lambda rng: encode_leg_frame(LegFrame.RST, b'{"code":"x"}')}
        self.closed(self.leg(), *self.pick({**kinds, "opened": lambda rng: _OPENED}), ())

    def dialling_leg(self) -> None:
        """A visitor waits for the answer to OPEN."""
        connection, visitor = self.opened_leg()
        self.closed(connection, *self.pick(LEG), ())
        self.assertEqual(visitor.rest(), b"")
        visitor.close()

    def streaming_leg(self) -> None:
        """A visitor is served."""
        connection, visitor = self.opened_leg()
        connection.send(_OPENED)
        kinds = {name: kind for name, kind in LEG.items() if name not in ("data", "fin")}
        self.closed(connection, *self.pick({**kinds, "opened": lambda rng: _OPENED}), ())
        self.assertEqual(visitor.rest(), b"")
        visitor.close()

    def opened_leg(self) -> tuple[raw.Raw, raw.Raw]:
        """A leg on which OPEN has come, and the visitor who is the reason."""
        connection = self.leg()
        visitor = raw.connect(self.host, self.public, tls=False)
        header = connection.exactly(4)
        self.assertEqual(header[0], LegFrame.OPEN)
        connection.exactly(int.from_bytes(header, "big") & 0xFFFFFF)
        return connection, visitor

    # The whole.

    def serve(self, mode: str, **keys: Any) -> tuple[Program, int]:
        """Start a server, a client of good manners and a session that holds legs; return the good one's port."""
        self.tls = mode != "off"
        tls = {"mode": mode}
        # Pings would only be in the way: nobody here answers them; and a history loads SQLite in the midst of it.
        server = self.server(tls=tls, heartbeat=600, heartbeat_timeout=1800, handshake_timeout=10, usage=False, **keys)
        port = self.port()
        self.client({"good": (Service(self, echo).address, port)}, tls=tls)
        self.holder = raw.login(self.host, self.control, "holder", self.token, tls=self.tls)
        self.addCleanup(self.holder.control.close)
        self.public = self.port()
        self.holder.control.say(Register(1, (MappingRequest("web", self.public, self.host),)))
        while not isinstance(answer := self.holder.control.hear(), RegisterResp):
            self.assertIsInstance(answer, NeedLegs)
        self.assertEqual([each.status for each in answer.results], ["ok"])
        return server, port

    def run_stages(self, server: Program, port: int, stages: Mapping[str, int]) -> None:
        """Run all of them, a tenth to warm up, and look at the server before and after."""
        for part in (0.1, 0.9):
            if part == 0.9:
                before = server.rss()
            for stage, count in stages.items():
                for _ in range(round(count * part)):
                    self.stages[stage]()
        grown = server.rss() - before
        print(
            f"\n{sum(self.counts.values())} bad frames {'inside TLS' if self.tls else 'without TLS'}: "
            f"{grown / 1024:.0f} KiB grown, the slowest close after {self.latest * 1000:.0f} ms\n"
            + ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        )
        self.assertIsNone(server.process.poll())
        self.assertLess(grown, GROWTH)
        self.assert_echo(port)
        self.holder.control.say(Drain(0))
        while isinstance(answer := self.holder.control.hear(), NeedLegs):
            pass
        self.assertIsInstance(answer, DrainOk, "the session that held the legs is well")

    def test_ten_thousand(self) -> None:
        """Without TLS, so that frames and not ciphers are tried: 10,000 of them."""
        self.assertEqual(sum(PLAIN.values()), 10_000)
        self.run_stages(*self.serve("off"), PLAIN)

    def test_inside_tls(self) -> None:
        """The same kinds, fewer of them, inside TLS."""
        self.run_stages(*self.serve("required"), SEALED)

    def test_version_1(self) -> None:
        """A server that takes clients of version 1: before their proof, after it, and in place of their legs."""
        secret, rng = f"{self.token[:32]}-of-version-one", self.rng
        self.secrets.append(secret)
        server, port = self.serve("required", v1={"enabled": True, "token": secret})
        self.tls = False
        # A ping has no `n` there, and what is unknown is ignored.
        spoilt = {name: kind for name, kind in CONTROL.items() if name != "float"}
        wrong = (None, "", "x" * 64, secret[:-1], secret + "x", 0, [secret])
        first = {"type": "register", "local_port": 1, "remote_port": self.port(), "protocol": "tcp", "name": "x"}
        for number in range(300):
            self.closed(self.connect(), *self.pick(FIRST), ANSWERED_FIRST)
            connection = self.connect()
            connection.send(encode_frame(json.dumps({**first, "token": secret}).encode()))
            self.assertIn(b'"status":"ok"', connection.payload() or b"")
            self.closed(connection, *self.pick(spoilt), ("register_resp",))
            # A wrong token is answered after a while, so that nobody guesses fast.
            for kind in ("register", "data_channel") if number % 100 == 0 else ():
                bad = encode_frame(json.dumps({**first, "type": kind, "token": rng.choice(wrong)}).encode())
                self.closed(self.connect(), f"token of a {kind}", bad, ("register_resp",))
            stray = encode_frame(json.dumps({**first, "type": "data_channel", "token": secret}).encode())
            self.closed(self.connect(), "data_channel that nobody asked for", stray, ("register_resp",))
            if number == 30:
                before = server.rss()
        self.assertLess(server.rss() - before, GROWTH)
        self.assert_echo(port)

    def test_good_leg(self) -> None:
        """What the legs here are spoiled from is good: an unspoiled one is taken."""
        self.serve("off")
        connection = self.connect()
        connection.say(self.holder.leg_message(connection))
        self.assertIsInstance(connection.hear(), LegOk)
        connection.close()


_OPENED = encode_leg_frame(LegFrame.OPENED, b"{}")

