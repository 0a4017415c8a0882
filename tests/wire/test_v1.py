"""The messages of version 1, held against what the original Go peers sent, and against anything else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.v1 import SILENCE
from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire import v1
from tests.v1.recording import LOCAL, NAME, REMOTE, payloads
from tests.wire.strategies import PROPERTY

TOKEN = "7be2c95d40f1a683e9d2b70c4816fa35"


class RecordedTests(SynchronousTestCase):
    """Every frame of the recorded session is understood; where the original sends what the contract names and no more,
    ours are the same bytes."""

    def test_client(self) -> None:
        """What the Go client said on its control connection."""
        said = payloads(0, "client")
        register, *others = map(v1.decode, said)
        self.assertEqual(register, v1.Register(LOCAL, REMOTE, "tcp", TOKEN, NAME))
        self.assertEqual([type(each) for each in others].count(v1.Ping), 5)
        self.assertIn(v1.OfflinePort(REMOTE), others)
        self.assertIn(v1.OnlinePort(REMOTE), others)
        self.assertEqual([v1.encode(v1.decode(payload)) for payload in said], said)

    def test_server(self) -> None:
        """What the Go server answered: its request for a leg carries fields that mean nothing."""
        said = payloads(0, "server")
        heard = [v1.decode(payload) for payload in said]
        self.assertEqual(heard[0], v1.Answer("ok"))
        self.assertEqual(heard.count(v1.OpenDataChannel(LOCAL)), 1)
        self.assertEqual([type(each) for each in heard].count(v1.Pong), 5)
        plain = [payload for payload in said if b"open_data_channel" not in payload]
        self.assertEqual([v1.encode(v1.decode(payload)) for payload in plain], plain)

    def test_leg(self) -> None:
        """A leg's first frame and its answer; raw bytes follow."""
        (first,) = payloads(1, "client")
        self.assertEqual(v1.decode(first), v1.DataChannel(LOCAL, REMOTE, TOKEN, NAME))
        self.assertEqual([v1.decode(payload) for payload in payloads(1, "server")], [v1.Answer("ok")])

    def test_refusal(self) -> None:
        """A wrong token."""
        self.assertEqual(
            [v1.decode(payload) for payload in payloads(2, "server")],
            [v1.Answer("fail", "authentication failed")],
        )

    def test_silence(self) -> None:
        """Whoever checks a configuration and whoever keeps a session mean the same 30 s."""
        self.assertEqual((SILENCE, v1.SILENCE), (30.0, 30.0))


PORTS = st.integers(0, 65535)
LABELS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=64).filter(str.isprintable)
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
TIMES = st.integers(0, 2**64 - 1)
MESSAGES = st.one_of(
    st.builds(v1.Register, PORTS, PORTS, LABELS, SECRETS, LABELS),
    st.builds(v1.DataChannel, PORTS, PORTS, SECRETS, LABELS),
    st.builds(v1.Answer, st.sampled_from(["ok", "fail"]), st.none() | SECRETS),
    st.builds(v1.Ping, TIMES),
    st.builds(v1.Pong, TIMES),
    st.builds(v1.OpenDataChannel, PORTS),
    st.builds(v1.OfflinePort, PORTS),
    st.builds(v1.OnlinePort, PORTS),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["type", "local_port", "remote_port", "protocol", "token", "name", "status", "reason", "time", "port"]


class AnythingTests(SynchronousTestCase):
    """Whatever arrives is a message or a RemoteProtocolError."""

    @PROPERTY
    @given(MESSAGES)
    def test_round_trip(self, message: v1.V1Message) -> None:
        """What is written is read as the same."""
        self.assertEqual(v1.decode(v1.encode(message)), message)

    @PROPERTY
    @given(st.sampled_from(sorted(v1._TYPES)), st.dictionaries(st.sampled_from(FIELDS[1:]), JSON))
    def test_any_fields(self, kind: str, fields: dict[str, Any]) -> None:
        """Fields of any type and value never raise anything else, and the reason shows none of them."""
        try:
            message = v1.decode_object({"type": kind, **fields})
        except RemoteProtocolError as breach:
            self.assertTrue(breach.reason.isprintable())
        else:
            self.assertIs(type(message), v1._TYPES[kind])

    @PROPERTY
    @given(st.binary(max_size=64))
    def test_any_bytes(self, payload: bytes) -> None:
        """Nor do bytes."""
        with self.assertRaises(RemoteProtocolError):
            v1.decode(payload + b"\0")

    def test_token_is_not_shown(self) -> None:
        """Neither a message's repr nor an error shows the token."""
        self.assertNotIn(TOKEN, repr(v1.Register(1, 2, "tcp", TOKEN, "x")))
        self.assertNotIn(TOKEN, repr(v1.DataChannel(1, 2, TOKEN, "x")))
        breach = self.assertRaises(RemoteProtocolError, v1.decode_object, {"type": "register", "token": [TOKEN]})
        self.assertNotIn(TOKEN, str(breach))

    def test_ours_are_checked(self) -> None:
        """What a peer would refuse is not sent."""
        self.assertRaises(LocalProtocolError, v1.encode, v1.OpenDataChannel(65536))
        self.assertRaises(LocalProtocolError, v1.encode, v1.Register(1, True, "tcp", TOKEN, "x"))
