"""The two ends of the handshake, against each other and against everybody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import AuthRejected, LocalProtocolError, RemoteProtocolError
from gotunnel.wire import handshake
from gotunnel.wire.handshake import (
    NO_BINDING,
    ClientHandshake,
    Established,
    ServerHandshake,
    client_mac,
    derive_key,
    server_mac,
    transcript,
)
from gotunnel.wire.messages import Auth, AuthOk, Challenge, Error, Hello, Limits, Ping, decode, encode

from .strategies import ANY_MESSAGE, PROPERTY

TOKEN = "correct horse battery staple"
LIMITS = Limits(32, 64, 2000)
CB = bytes(range(32))
OTHER_CB = bytes(range(1, 33))


def client_end(token: str = TOKEN, client: str = "edge") -> ClientHandshake:
    return ClientHandshake(client, token, b"instance", "gotunnel/test", ("udp",))


def server_end() -> ServerHandshake:
    return ServerHandshake(lambda name: (derive_key(TOKEN, name),) if name == "edge" else (), ("zstd",))


def damaged(payload: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(payload), **fields}).encode()


class Pair:
    """A client and a server that walked until the client has proved itself."""

    def __init__(self, token: str = TOKEN, client_cb: bytes = CB, server_cb: bytes = CB) -> None:
        self.client, self.server = client_end(token), server_end()
        self.hello = self.client.hello()
        self.challenge = self.server.receive_hello(self.hello)
        self.auth = self.client.receive_challenge(self.challenge, client_cb)
        self.server_cb = server_cb

    def prove(self) -> bytes:
        self.server.receive_auth(self.auth, self.server_cb)
        return self.server.established(LIMITS, 10, 30, "w3.example")


class AgreementTests(SynchronousTestCase):
    """Both ends hold the token."""

    def test_established(self) -> None:
        """Both ends have one session id and one key, and know what the other said."""
        pair = Pair()
        established = pair.client.receive_auth_ok(pair.prove())
        self.assertEqual((established.sid, established.ks), (pair.server.sid, pair.server.ks))
        self.assertEqual((len(established.sid), len(established.ks)), (16, 32))
        expected = Hello(2, 2, "edge", pair.server.hello.nonce, ("udp",), b"instance", "gotunnel/test")
        self.assertEqual(pair.server.hello, expected)
        self.assertEqual(established.challenge.caps, ("zstd",))
        self.assertEqual(
            established.auth_ok,
            replace(
                established.auth_ok, heartbeat=10, heartbeat_timeout=30, limits=LIMITS, leg_sni="w3.example"
            ),
        )

    def test_fresh_each_time(self) -> None:
        """Nothing repeats from one handshake to the next: nonces, ids, proofs, keys."""
        first, second = Pair(), Pair()
        first.prove()
        second.prove()
        self.assertNotEqual(first.server.hello.nonce, second.server.hello.nonce)
        self.assertNotEqual(first.server.sid, second.server.sid)
        self.assertNotEqual(first.auth, second.auth)
        self.assertNotEqual(first.server.ks, second.server.ks)

    def test_unknown_fields_are_covered(self) -> None:
        """A field that only the sender knows is ignored, and still part of what both ends prove."""
        server = server_end()
        hello = damaged(client_end().hello(), later=[1])
        challenge = server.receive_hello(hello)
        key = derive_key(TOKEN, "edge")
        server.receive_auth(encode(Auth(client_mac(key, transcript(hello, challenge, CB)))), CB)
        self.assertEqual(server.established(LIMITS, 10, 30), server_ok(key, hello, challenge))

    def test_several_keys(self) -> None:
        """Any of the valid keys lets in, and is the one that the session goes on with; before the proof there is
        none."""
        valid = ("the token that goes", TOKEN, "another one that is valid")
        keys = tuple(derive_key(token, "edge") for token in valid)
        for token, expected in zip(valid, keys, strict=True):
            client, server = client_end(token), ServerHandshake(lambda name: keys)
            challenge = server.receive_hello(client.hello())
            self.assertRaises(LocalProtocolError, getattr, server, "key")
            server.receive_auth(client.receive_challenge(challenge, CB), CB)
            self.assertEqual(server.key, expected)
            established = client.receive_auth_ok(server.established(LIMITS, 10, 30))
            self.assertEqual(established.ks, server.ks)
        client, server = client_end("none of them"), ServerHandshake(lambda name: keys)
        auth = client.receive_challenge(server.receive_hello(client.hello()), CB)
        self.assertRaises(AuthRejected, server.receive_auth, auth, CB)
        self.assertRaises(LocalProtocolError, getattr, server, "key")

    def test_every_key_is_compared(self) -> None:
        """The time does not tell which of the keys it was: none is left out once one has fitted."""
        keys = tuple(derive_key(token, "edge") for token in (TOKEN, "another", "a third"))
        compared: list[bytes] = []

        def count(key: bytes, th: bytes) -> bytes:
            compared.append(key)
            return client_mac(key, th)

        client, server = client_end(), ServerHandshake(lambda name: keys)
        auth = client.receive_challenge(server.receive_hello(client.hello()), CB)
        self.patch(handshake, "client_mac", count)
        server.receive_auth(auth, CB)
        self.assertEqual(compared, list(keys))

    def test_secrets_do_not_print(self) -> None:
        """Neither end, nor the result, shows a token or a key."""
        pair = Pair()
        established = pair.client.receive_auth_ok(pair.prove())
        self.assertIsInstance(established, Established)
        shown = repr([established, pair.client, pair.server])
        for secret in (TOKEN, repr(established.ks)[2:-1], repr(established.auth_ok.mac)[2:-1], "ks", "horse"):
            self.assertNotIn(secret, shown)


def server_ok(key: bytes, hello: bytes, challenge: bytes, cb: bytes = CB) -> bytes:
    return encode(AuthOk(server_mac(key, transcript(hello, challenge, cb)), 10, 30, LIMITS))


class AttackTests(SynchronousTestCase):
    """One end, or somebody in between, is false."""

    def rejected(self, code: str, call: Callable[..., object], *args: object) -> AuthRejected:
        error = self.assertRaises(AuthRejected, call, *args)
        self.assertEqual(error.code, code)
        return error

    def test_wrong_token(self) -> None:
        """The server refuses a client with another token."""
        self.rejected("auth_failed", Pair("another token").prove)

    def test_unknown_name(self) -> None:
        """An unknown name gets the same answer as a wrong token, after the same exchange."""
        client, server = client_end(client="nobody"), server_end()
        auth = client.receive_challenge(server.receive_hello(client.hello()), CB)
        unknown = self.rejected("auth_failed", server.receive_auth, auth, CB)
        wrong = self.rejected("auth_failed", Pair("another token").prove)
        self.assertEqual(str(unknown), str(wrong))

    def test_unknown_name_with_every_key(self) -> None:
        """No key opens an unknown name: not the one of no bytes, not even the dummy of this very server."""
        draws = iter([bytes(16), bytes(32), b"\x07" * 32])
        server = ServerHandshake(lambda name: (), random_bytes=lambda size: next(draws))
        hello = client_end().hello()
        challenge = server.receive_hello(hello)
        mac = client_mac(b"\x07" * 32, transcript(hello, challenge, CB))
        self.rejected("auth_failed", server.receive_auth, encode(Auth(mac)), CB)

    def test_name_of_another(self) -> None:
        """A key belongs to one name: with the token, another name's proof is no proof."""
        server = server_end()
        hello = client_end().hello()
        challenge = server.receive_hello(hello)
        mac = client_mac(derive_key(TOKEN, "other"), transcript(hello, challenge, CB))
        self.rejected("auth_failed", server.receive_auth, encode(Auth(mac)), CB)

    def test_man_in_the_middle(self) -> None:
        """With two TLS sessions there are two bindings, and the server refuses."""
        self.rejected("auth_failed", Pair(client_cb=CB, server_cb=OTHER_CB).prove)
        self.rejected("auth_failed", Pair(client_cb=CB, server_cb=NO_BINDING).prove)

    def test_false_server(self) -> None:
        """A server without the token, with another binding, or that sends our own proof back, is refused."""
        key = derive_key(TOKEN, "edge")
        for mac_of in (
            lambda p: server_mac(derive_key("x", "edge"), transcript(p.hello, p.challenge, CB)),
            lambda p: server_mac(key, transcript(p.hello, p.challenge, OTHER_CB)),
            lambda p: client_mac(key, transcript(p.hello, p.challenge, CB)),
            lambda p: bytes(32),
        ):
            pair = Pair()
            payload = encode(AuthOk(mac_of(pair), 10, 30, LIMITS))
            self.rejected("bad_server_mac", pair.client.receive_auth_ok, payload)

    def test_changed_on_the_way(self) -> None:
        """Any change to the hello or the challenge breaks the proof, stripped capabilities included."""
        changes: tuple[dict[str, Any], ...] = (
            {"caps": []},
            {"agent": "x"},
            {"instance": "AA"},
            {"later": 1},
            {},
        )
        for fields in changes:
            server, client = server_end(), client_end()
            hello = damaged(client.hello(), **fields)
            auth = client.receive_challenge(server.receive_hello(hello), CB)
            self.rejected("auth_failed", server.receive_auth, auth, CB)
        for fields in ({"caps": []}, {"sid": "A" * 22}, {"later": 1}):
            server, client = server_end(), client_end()
            challenge = damaged(server.receive_hello(client.hello()), **fields)
            self.rejected("auth_failed", server.receive_auth, client.receive_challenge(challenge, CB), CB)

    def test_replay(self) -> None:
        """A recorded hello and auth are worth nothing in another handshake."""
        recorded = Pair()
        server = server_end()
        server.receive_hello(recorded.hello)
        self.rejected("auth_failed", server.receive_auth, recorded.auth, CB)

    def test_rejected_is_final(self) -> None:
        """After a failure neither end goes on, not even with the right proof."""
        pair = Pair()
        wrong = encode(Auth(bytes(32)))
        self.rejected("auth_failed", pair.server.receive_auth, wrong, CB)
        self.assertRaises(LocalProtocolError, pair.server.receive_auth, pair.auth, CB)
        self.assertRaises(LocalProtocolError, pair.server.established, LIMITS, 10, 30)
        self.assertRaises(LocalProtocolError, lambda: pair.server.ks)
        pair = Pair()
        good = pair.prove()
        self.rejected("bad_server_mac", pair.client.receive_auth_ok, damaged(good, mac="00" * 32))
        self.assertRaises(LocalProtocolError, pair.client.receive_auth_ok, good)


class HintTests(SynchronousTestCase):
    """An `error` instead of an answer."""

    def test_error_is_a_hint(self) -> None:
        """In either place it is AuthRejected, with what the peer said."""
        hint = encode(Error("name_in_use", "two clients", 5))
        waiting = client_end()
        waiting.hello()
        for error in (
            self.assertRaises(AuthRejected, waiting.receive_challenge, hint, CB),
            self.assertRaises(AuthRejected, Pair().client.receive_auth_ok, hint),
        ):
            self.assertEqual((error.code, error.reason, error.retry_after), ("name_in_use", "two clients", 5))

    def test_retry_after_is_bounded(self) -> None:
        """Nobody who has proved nothing sends us away for longer than a minute."""
        error = self.assertRaises(
            AuthRejected, Pair().client.receive_auth_ok, encode(Error("limit", "", 86400))
        )
        self.assertEqual(error.retry_after, 60)
        error = self.assertRaises(AuthRejected, Pair().client.receive_auth_ok, encode(Error("limit")))
        self.assertIsNone(error.retry_after)

    def test_error_for_the_server(self) -> None:
        """A server hears no errors in a handshake: they are just out of place."""
        server = server_end()
        self.assertRaises(RemoteProtocolError, server.receive_hello, encode(Error("limit")))
        server = server_end()
        server.receive_hello(client_end().hello())
        self.assertRaises(RemoteProtocolError, server.receive_auth, encode(Error("limit")), CB)


class VersionTests(SynchronousTestCase):
    """Other versions."""

    def test_hello_of_another_version(self) -> None:
        """A client too new or too old is told `version`, whatever its hello looks like otherwise."""
        for fields in ({"v": 1, "min_v": 1}, {"v": 3, "min_v": 3}, {"v": 3, "min_v": 3, "client": None}):
            error = self.assertRaises(
                RemoteProtocolError, server_end().receive_hello, damaged(client_end().hello(), **fields)
            )
            self.assertEqual(error.code, "version")

    def test_newer_client_that_still_speaks_ours(self) -> None:
        """A client that offers a range with ours in it gets ours."""
        for fields in ({"v": 3}, {"min_v": 1}, {"v": 9, "min_v": 1}):
            challenge = server_end().receive_hello(damaged(client_end().hello(), **fields))
            self.assertEqual(json.loads(challenge)["v"], 2)

    def test_hello_without_version(self) -> None:
        """A version that is no number is a broken frame, not another version."""
        for bad in (None, "2", True, 2.0):
            error = self.assertRaises(
                RemoteProtocolError, server_end().receive_hello, damaged(client_end().hello(), v=bad)
            )
            self.assertEqual(error.code, "protocol_error")

    def test_challenge_of_another_version(self) -> None:
        """A server must choose from what we offered."""
        for version in (1, 3):
            client = client_end()
            challenge = damaged(server_end().receive_hello(client.hello()), v=version)
            error = self.assertRaises(RemoteProtocolError, client.receive_challenge, challenge, CB)
            self.assertEqual(error.code, "version")

    def test_version_1_server(self) -> None:
        """The Go server's answer to a hello is recognised for what it is."""
        client = client_end()
        client.hello()
        go = b'{"type":"register_resp","status":"fail","reason":"authentication failed"}'
        error = self.assertRaises(RemoteProtocolError, client.receive_challenge, go, CB)
        self.assertEqual(error.code, "version")
        self.assertIn("version 1", error.reason)

    def test_hello_holds_no_token(self) -> None:
        """The token is not in a hello, nor in an auth: a version 1 server would take it for a registration."""
        pair = Pair()
        for payload in (pair.hello, pair.auth):
            self.assertNotIn(TOKEN.encode(), payload)
            self.assertNotIn(b"token", payload)


class OrderTests(SynchronousTestCase):
    """Each step once, and only in its turn."""

    def test_client_out_of_order(self) -> None:
        """Every call at every stage of a client but the right one is our own error."""
        pair = Pair()
        auth_ok = pair.prove()
        calls: list[Callable[[ClientHandshake], object]] = [
            lambda c: c.hello(),
            lambda c: c.receive_challenge(pair.challenge, CB),
            lambda c: c.receive_auth_ok(auth_ok),
        ]
        for stage in range(4):
            for index, call in enumerate(calls):
                if index != stage:
                    client = ClientHandshake("edge", TOKEN, b"i", "x")
                    done = server_end()
                    if stage > 0:
                        challenge = done.receive_hello(client.hello())
                    if stage > 1:
                        done.receive_auth(client.receive_challenge(challenge, CB), CB)
                    if stage > 2:
                        client.receive_auth_ok(done.established(LIMITS, 10, 30))
                    self.assertRaises(LocalProtocolError, call, client)

    def test_server_out_of_order(self) -> None:
        """The same for a server, and its values are not there before their time."""
        hello = client_end().hello()
        calls: list[Callable[[ServerHandshake, bytes], object]] = [
            lambda s, auth: s.receive_hello(hello),
            lambda s, auth: s.receive_auth(auth, CB),
            lambda s, auth: s.established(LIMITS, 10, 30),
        ]
        for stage in range(4):
            for index, call in enumerate(calls):
                if index != stage:
                    client, server, auth = client_end(), server_end(), b""
                    if stage > 0:
                        auth = client.receive_challenge(server.receive_hello(client.hello()), CB)
                    if stage > 1:
                        server.receive_auth(auth, CB)
                    if stage > 2:
                        server.established(LIMITS, 10, 30)
                    self.assertRaises(LocalProtocolError, call, server, auth)

    def test_values_before_their_time(self) -> None:
        """A server has no hello before it came, and no session key before the proof."""
        server = server_end()
        self.assertRaises(LocalProtocolError, lambda: server.hello)
        client = client_end()
        auth = client.receive_challenge(server.receive_hello(client.hello()), CB)
        self.assertEqual(server.hello.client, "edge")
        self.assertRaises(LocalProtocolError, lambda: server.ks)
        server.receive_auth(auth, CB)
        self.assertEqual(len(server.ks), 32)

    def test_other_messages(self) -> None:
        """Any other message in place of the right one is the peer's breach, and final."""
        for wrong in (Ping(1), Auth(bytes(32)), Challenge(2, bytes(16), bytes(32))):
            server = server_end()
            self.assertRaises(RemoteProtocolError, server.receive_hello, encode(wrong))
            self.assertRaises(LocalProtocolError, server.receive_hello, client_end().hello())
            client = client_end()
            hello = client.hello()
            if not isinstance(wrong, Challenge):
                self.assertRaises(RemoteProtocolError, client.receive_challenge, encode(wrong), CB)
                again = server_end().receive_hello(hello)
                self.assertRaises(LocalProtocolError, client.receive_challenge, again, CB)
            self.assertRaises(RemoteProtocolError, Pair().client.receive_auth_ok, encode(wrong))

    def test_bad_arguments(self) -> None:
        """A name that no server would take, a missing token and a binding of a wrong size are our own errors."""
        for name, token in (("a b", TOKEN), ("", TOKEN), ("x" * 65, TOKEN), ("edge", "")):
            self.assertRaises(LocalProtocolError, ClientHandshake, name, token, b"i", "x")
        client = client_end()
        challenge = server_end().receive_hello(client.hello())
        self.assertRaises(LocalProtocolError, client.receive_challenge, challenge, b"")

    @PROPERTY
    @given(st.binary() | ANY_MESSAGE.map(encode))
    def test_any_payload(self, payload: bytes) -> None:
        """No payload raises anything but the two errors of a peer, in any place; and none opens a session."""
        client = client_end()
        client.hello()
        server = server_end()
        server.receive_hello(client_end().hello())
        for call in (
            lambda: server_end().receive_hello(payload),
            lambda: server.receive_auth(payload, CB),
            lambda: client.receive_challenge(payload, CB),
            lambda: Pair().client.receive_auth_ok(payload),
        ):
            try:
                result = call()
            except (AuthRejected, RemoteProtocolError):
                continue
            self.assertIsInstance(decode(payload), (Hello, Challenge))
            assert isinstance(result, bytes), "a session was opened"
            self.assertIsInstance(decode(result), (Challenge, Auth))
