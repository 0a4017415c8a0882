"""The handshake of control connections and of legs with somebody in between who changes, drops, repeats, swaps and
invents whatever he likes: the two ends agree on one session, or there is none."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import AuthRejected, LocalProtocolError, RemoteProtocolError
from gotunnel.wire.handshake import (
    ClientHandshake,
    Established,
    ServerHandshake,
    derive_key,
    leg_client_mac,
    leg_server_mac,
    open_mac,
)
from gotunnel.wire.messages import Error, Limits, encode
from tests.wire.strategies import ANY_MESSAGE, PROPERTY

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
CB = bytes(range(32))
LIMITS = Limits(1, 2, 3)
Change = Callable[[bytes], bytes]

CALLS = st.sampled_from(["hello", "challenge", "auth", "auth_ok"])


def keys_for(name: str) -> list[bytes]:
    """Know one client."""
    return [derive_key(TOKEN, name)] if name == "edge" else []


CLEAN = (AuthRejected, RemoteProtocolError)
"""How an end refuses what a peer says."""


class Run:
    """One handshake, with a change on the way of each of its four payloads."""

    def __init__(self, changes: dict[str, Change], client_cb: bytes = CB, server_cb: bytes = CB) -> None:
        self.client = ClientHandshake("edge", TOKEN, b"one", "test", ("udp",))
        self.server = ServerHandshake(keys_for, ("zstd",))
        self.sent: dict[str, bytes] = {}
        self.server_agreed = False
        self.established: Established | None = None
        try:
            challenge = self.server.receive_hello(self._pass("hello", self.client.hello(), changes))
            auth = self.client.receive_challenge(self._pass("challenge", challenge, changes), client_cb)
            self.server.receive_auth(self._pass("auth", auth, changes), server_cb)
            self.server_agreed = True
            auth_ok = self.server.established(LIMITS, 10, 30)
            self.established = self.client.receive_auth_ok(self._pass("auth_ok", auth_ok, changes))
        except CLEAN:
            pass

    def _pass(self, name: str, payload: bytes, changes: dict[str, Change]) -> bytes:
        self.sent[name] = payload
        return changes[name](payload) if name in changes else payload


class TamperingTests(SynchronousTestCase):
    """Each byte of each payload, and each payload as a whole."""

    def every_byte(self, name: str) -> Iterator[tuple[int, int, Run]]:
        """Run with each byte of a payload changed in three ways."""
        length = len(Run({}).sent[name])
        for at, flip in itertools.product(range(length), (0x01, 0x20, 0x80)):

            def change(payload: bytes, at: int = at, flip: int = flip) -> bytes:
                at = min(at, len(payload) - 1)
                return payload[:at] + bytes([payload[at] ^ flip]) + payload[at + 1 :]

            yield at, flip, Run({name: change})

    def test_untouched(self) -> None:
        """Without a change both agree."""
        run = Run({})
        assert run.established is not None
        self.assertEqual(run.established.ks, run.server.ks)

    def test_every_byte_before_the_proof(self) -> None:
        """No byte of hello, challenge or auth can change without the server noticing."""
        for name in ("hello", "challenge", "auth"):
            for at, flip, run in self.every_byte(name):
                self.assertFalse(run.server_agreed, f"{name}, byte {at}, {flip:#x}")
                self.assertIsNone(run.established)

    def test_every_byte_of_the_answer(self) -> None:
        """No byte of the server's proof can. The rest of auth_ok is not under it: what travels there is protected by
        TLS, and the two ends' keys agree in any case."""
        for at, flip, run in self.every_byte("auth_ok"):
            mac = run.sent["auth_ok"].index(b'"mac":"') + len('"mac":"')
            if mac <= at < mac + 64:
                self.assertIsNone(run.established, f"byte {at}, {flip:#x}")
            elif run.established is not None:
                self.assertEqual(run.established.ks, run.server.ks)

    def test_bindings(self) -> None:
        """Any difference of the two TLS sessions is noticed."""
        for at in range(32):
            other = CB[:at] + bytes([CB[at] ^ 1]) + CB[at + 1 :]
            self.assertFalse(Run({}, client_cb=other).server_agreed)
            self.assertFalse(Run({}, server_cb=other).server_agreed)

    @PROPERTY
    @given(st.sampled_from(["hello", "challenge", "auth"]), st.binary(max_size=300) | ANY_MESSAGE.map(encode))
    def test_replaced(self, name: str, other: bytes) -> None:
        """Nor can one of them be replaced by something else."""
        run = Run({name: lambda _: other})
        self.assertFalse(run.server_agreed)
        self.assertIsNone(run.established)

    @PROPERTY
    @given(st.lists(st.tuples(CALLS, st.integers(0, 1), st.integers(0, 5)), max_size=24))
    def test_any_order(self, steps: list[tuple[str, int, int]]) -> None:
        """Two handshakes at once, whose payloads somebody hands out in any order, again and again, and to anybody: an
        end agrees only with the one that it really talked to."""
        post = Post(self)
        for call, end, which in steps:
            post.deliver(call, end, which)

    def test_order_finds(self) -> None:
        """The post of the test above can also be honest, and is now and then by chance: then both agree."""
        post = Post(self)
        for call in ("hello", "challenge", "auth", "auth_ok"):
            post.deliver(call, 0, 0)
        self.assertEqual((len(post.agreed), post.ended), (1, 1))
        rng, ended = random.Random(1), 0
        for _ in range(200):
            post = Post(self)
            for _ in range(24):
                call = rng.choice(("hello", "challenge", "auth", "auth_ok"))
                post.deliver(call, rng.randrange(2), rng.randrange(6))
            ended += post.ended
        self.assertGreater(ended, 5)


class Post:
    """Two clients and two servers, and all that they have said so far."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.case = case
        self.clients = [ClientHandshake("edge", TOKEN, b"%d" % n, "test") for n in range(2)]
        self.servers = [ServerHandshake(keys_for) for _ in range(2)]
        self.said: dict[str, list[bytes]] = {
            "hello": [client.hello() for client in self.clients],
            "challenge": [],
            "auth": [],
            "auth_ok": [],
            "error": [encode(Error("limit"))],
        }
        self.agreed: dict[bytes, ServerHandshake] = {}
        self.ended = 0

    def deliver(self, call: str, end: int, which: int) -> None:
        """Give an end something of the kind that it may wait for, or if there is nothing, anything."""
        pile = self.said[call] or [each for said in self.said.values() for each in said]
        payload = pile[which % len(pile)]
        client, server = self.clients[end], self.servers[end]
        try:
            if call == "hello":
                self.said["challenge"].append(server.receive_hello(payload))
            elif call == "challenge":
                self.said["auth"].append(client.receive_challenge(payload, CB))
            elif call == "auth":
                server.receive_auth(payload, CB)
                self.case.assertNotIn(server.sid, self.agreed)
                self.agreed[server.sid] = server
                self.said["auth_ok"].append(server.established(LIMITS, 10, 30))
            else:
                established = client.receive_auth_ok(payload)
                self.case.assertEqual(self.agreed[established.sid].ks, established.ks)
                self.ended += 1
        except (*CLEAN, LocalProtocolError):
            pass


class LegProofTests(SynchronousTestCase):
    """What is under the MACs of legs and of OPENs: everything."""

    @PROPERTY
    @given(st.data())
    def test_everything_counts(self, data: st.DataObject) -> None:
        """Two different legs, or OPENs, never have one MAC; values cannot slide from one field to the next."""
        short = st.binary(min_size=32, max_size=32)
        leg = st.tuples(
            short, st.binary(max_size=3), st.integers(0, 2**64 - 1), st.sampled_from(["reverse", "forward"]), short
        )
        one, other = data.draw(leg), data.draw(leg)
        self.assertEqual(leg_client_mac(*one) == leg_client_mac(*other), one == other)
        self.assertNotEqual(leg_client_mac(*one), leg_server_mac(*one))

    @PROPERTY
    @given(st.text("ab", min_size=4, max_size=9), st.data())
    def test_nothing_slides(self, text: str, data: st.DataObject) -> None:
        """The same characters, divided in another way between an OPEN's name, id and source, are another OPEN."""
        macs = {}
        for _ in range(4):
            first, second = sorted((data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4))))
            parts = text[:first], text[first:second], text[second:]
            macs[parts] = open_mac(bytes(32), bytes(16), 1, "reverse", 1, "mapping", *parts)
        self.assertEqual(len(set(macs.values())), len(macs))
