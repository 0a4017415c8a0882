"""The golden vectors of version 2: keys and MACs that another implementation computes as well, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.handshake import (
    NO_BINDING,
    ClientHandshake,
    ServerHandshake,
    client_mac,
    derive_key,
    leg_client_mac,
    leg_server_mac,
    server_mac,
    session_key,
    transcript,
)
from gotunnel.wire.messages import Auth, AuthOk, Challenge, Hello, Limits, decode, encode

TOKEN = "0123456789abcdef" * 4
CLIENT = "edge-07"
CLIENT_NONCE = bytes(range(32))
SERVER_NONCE = bytes(range(32, 64))
SID = bytes(range(16))
HELLO = (
    b'{"type":"hello","v":2,"min_v":2,"client":"edge-07",'
    b'"nonce":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","caps":[],"agent":"test"}'
)
CHALLENGE = (
    b'{"type":"challenge","v":2,"sid":"AAECAwQFBgcICQoLDA0ODw",'
    b'"nonce":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8","caps":[]}'
)
TH = bytes.fromhex("43c389c7ac54ddaa31d097c5b32e185a82b584c12566918a02c993760a46ce2d")
K = bytes.fromhex("1b0be4c6a610583fdb199456eaacd6fdc6a7c2ff7ed5cf4fd3051a3dd1a56431")
AUTH_MAC = bytes.fromhex("82b3bd66608c57125ae2d6d2bb64861e04c5aa5c10b74f7755e2997d012f476f")
AUTH_OK_MAC = bytes.fromhex("0719e8434b6df6e57f249908affe05341e4a4d31d03ce52f405d824d8bcc59d0")
KS = bytes.fromhex("97e253f6c2d850dd7fd75c48bb2745b8d45b21eaef5ed0a9c6936f88942f31f4")
LEG_MAC = bytes.fromhex("67f146cc08dac4ece250dc911cc195c12fb32171e21abc12fcfe3207dbc46939")
LEG_OK_MAC = bytes.fromhex("fbf1be2d4f7976e1de6ff4f0cc2d3cc158df385b4474387c6f733dcf4d05e465")


def fixed(*values: bytes) -> Callable[[int], bytes]:
    """Return a source of "random" bytes that gives these, in turn, checking that so many were asked for."""
    left = list(values)

    def random_bytes(size: int) -> bytes:
        value = left.pop(0)
        assert len(value) == size
        return value

    return random_bytes


class GoldenTests(SynchronousTestCase):
    """Every line of the table."""

    def test_keys(self) -> None:
        """TH, K and Ks."""
        self.assertEqual(transcript(HELLO, CHALLENGE, NO_BINDING), TH)
        self.assertEqual(derive_key(TOKEN, CLIENT), K)
        self.assertEqual(session_key(K, TH), KS)

    def test_token_white_space(self) -> None:
        """White space around the token, as a file's last line break, changes nothing."""
        self.assertEqual(derive_key(f" {TOKEN}\r\n", CLIENT), K)

    def test_macs(self) -> None:
        """The MACs of auth and auth_ok."""
        self.assertEqual(client_mac(K, TH), AUTH_MAC)
        self.assertEqual(server_mac(K, TH), AUTH_OK_MAC)

    def test_leg_macs(self) -> None:
        """The MACs of leg and leg_ok, number 7, reverse, without TLS."""
        self.assertEqual(leg_client_mac(KS, SID, 7, "reverse", NO_BINDING), LEG_MAC)
        self.assertEqual(leg_server_mac(KS, SID, 7, "reverse", NO_BINDING), LEG_OK_MAC)

    def test_payloads(self) -> None:
        """The two payloads are written exactly so, and read back."""
        hello = Hello(2, 2, CLIENT, CLIENT_NONCE, (), None, "test")
        challenge = Challenge(2, SID, SERVER_NONCE, ())
        self.assertEqual((encode(hello), decode(HELLO)), (HELLO, hello))
        self.assertEqual((encode(challenge), decode(CHALLENGE)), (CHALLENGE, challenge))

    def test_both_ends_walk_it(self) -> None:
        """The two handshake objects, fed with these random bytes, send just these payloads and MACs."""
        client = ClientHandshake(CLIENT, TOKEN, None, "test", random_bytes=fixed(CLIENT_NONCE))
        server = ServerHandshake(lambda client: (K,), random_bytes=fixed(SID, SERVER_NONCE, bytes(32)))
        hello = client.hello()
        self.assertEqual(hello, HELLO)
        challenge = server.receive_hello(hello)
        self.assertEqual(challenge, CHALLENGE)
        auth = client.receive_challenge(challenge, NO_BINDING)
        self.assertEqual(decode(auth), Auth(AUTH_MAC))
        server.receive_auth(auth, NO_BINDING)
        limits = Limits(32, 64, 2000)
        auth_ok = server.established(limits, 10, 30)
        self.assertEqual(decode(auth_ok), AuthOk(AUTH_OK_MAC, 10, 30, limits))
        established = client.receive_auth_ok(auth_ok)
        self.assertEqual((established.sid, established.ks, server.ks), (SID, KS, KS))
