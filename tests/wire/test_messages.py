"""Messages: what each looks like on the wire, what each field refuses, and that nothing else is ever raised."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire import messages
from gotunnel.wire.messages import MappingRequest, MappingResult, decode, encode

from .strategies import ANY_MESSAGE, BY_TYPE, JSON, PROPERTY

MAC = "00" * 31 + "ff"
SID = "AAECAwQFBgcICQoLDA0ODw"
NONCE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
LIMITS = {"mappings": 32, "legs": 64, "visitors": 2000}

# One complete message of each type, as it travels.
WIRE: dict[str, dict[str, Any]] = {
    "hello": {
        "v": 2,
        "min_v": 2,
        "client": "edge-07",
        "nonce": NONCE,
        "caps": ["udp"],
        "instance": "AQ",
        "agent": "x/1",
    },
    "challenge": {"v": 2, "sid": SID, "nonce": NONCE, "caps": []},
    "auth": {"mac": MAC},
    "bearer": {"token": TOKEN, "mac": MAC},
    "auth_ok": {
        "mac": MAC,
        "heartbeat": 10,
        "heartbeat_timeout": 30.5,
        "limits": LIMITS,
        "leg_sni": "w3.example",
    },
    "enrol": {"token": TOKEN},
    "enrolled": {},
    "error": {"code": "stale", "reason": "é", "retry_after": 5},
    "register": {
        "id": 1,
        "mappings": [
            {"name": "kubelet", "remote_port": 10250, "bind": "10.0.0.1", "protocol": "tcp", "encrypt": False}
        ],
        "more": True,
    },
    "register_resp": {
        "id": 1,
        "status": "ok",
        "results": [
            {"name": "kubelet", "status": "ok", "remote_port": 10250},
            {"name": "api", "status": "fail", "code": "acl_denied", "reason": "no"},
        ],
        "reason": "some",
    },
    "unregister": {"id": 2, "names": ["kubelet"]},
    "mapping_state": {"name": "kubelet", "state": "down", "reason": "refused", "client": "home"},
    "need_legs": {"plain": False, "count": 2},
    "legs_failed": {"plain": True, "count": 1, "reason": "refused"},
    "nodes": {"id": 3, "nodes": ["worker-1", "10.0.0.0/8", "fd00::1"]},
    "ping": {"n": 41},
    "pong": {"n": 41},
    "drain": {"deadline_ms": 10000},
    "drain_ok": {},
    "leg": {"sid": SID, "seq": 7, "purpose": "reverse", "mac": MAC, "v": 2},
    "leg_ok": {"mac": MAC},
}
OPTIONAL: dict[str, set[str]] = {
    "hello": {"caps", "instance", "agent"},
    "challenge": {"caps"},
    "auth_ok": {"leg_sni"},
    "error": {"reason", "retry_after"},
    "register": {"more"},
    "register_resp": {"results", "reason"},
    "mapping_state": {"reason", "client"},
    "legs_failed": {"reason"},
    "leg": {"v"},
}

INTEGERS: list[Any] = [True, 22.0, "22", None, [], {}, -1]
COUNTS = [*INTEGERS, 0, 4097]
COUNTERS = [*INTEGERS, 2**64]
SECONDS = [True, "5", None, 0, -1, 0.0, 86400.5, 86401, [], {}]
MACS = ["", MAC[:-1], MAC + "0", MAC.upper(), "g" * 64, MAC[:-1] + "\n", "é" * 64, 1, None, []]
NONCES = [
    "",
    NONCE + "=",
    *(NONCE[:-1] + end for end in ("", "9", "+", "\n")),
    "A" * 42,
    "A" * 44,
    SID,
    1,
    None,
]
CAPS: list[Any] = [None, "udp", {}, [1], [""], ["x" * 65], ["\n"], [None], [[]]]
NAMES = ["", "x" * 129, "a\nb", "a\x7f", "é", "\x1b[2J", 1, None, []]
REASONS: list[Any] = [1, None, [], {}, True]
BOOLEANS = [0, 1, "true", None, []]
CODES = ["", "A", "a b", "x" * 65, "é", 1, None]
HOSTS = ["", "a b", "a\n", "é", "x" * 254, 1, None]

# Values that each field must refuse.
BAD: dict[tuple[str, str], list[Any]] = {
    ("hello", "v"): [*INTEGERS, 0, 65536],
    ("hello", "min_v"): [*INTEGERS, 0, 65536],
    ("hello", "client"): ["", "x" * 65, "a b", "a/b", "é", "a\n", 1, None],
    ("hello", "nonce"): NONCES,
    ("hello", "caps"): CAPS,
    ("hello", "instance"): ["", "A", "AR", "A" * 87, "AQ==", 1, None],
    ("hello", "agent"): ["x" * 257, 1, None],
    ("challenge", "v"): [*INTEGERS, 0, 65536],
    ("challenge", "sid"): ["", SID + "==", SID[:-1] + "x", NONCE, 1, None],
    ("challenge", "nonce"): NONCES,
    ("challenge", "caps"): CAPS,
    ("auth", "mac"): MACS,
    ("bearer", "token"): ["", "a b", "x" * 3073, "é", "a\n", 1, None],
    ("bearer", "mac"): MACS,
    ("auth_ok", "mac"): MACS,
    ("auth_ok", "heartbeat"): [*SECONDS, 30.5, 31],
    ("auth_ok", "heartbeat_timeout"): [*SECONDS, 10, 9.9],
    ("auth_ok", "limits"): [
        None,
        [],
        1,
        {},
        {**LIMITS, "legs": True},
        {"mappings": 1, "legs": 1},
        {**LIMITS, "legs": -1},
    ],
    ("auth_ok", "leg_sni"): [*HOSTS, "a:b"],
    ("enrol", "token"): ["", TOKEN[:-1], "x" * 1025, TOKEN + " ", " " + TOKEN, TOKEN + "\n", TOKEN + "é", 1, None, []],
    ("error", "code"): CODES,
    ("error", "reason"): REASONS,
    ("error", "retry_after"): SECONDS,
    ("register", "id"): COUNTERS,
    ("register", "mappings"): [None, {}, "x", [1], [[]], [{}], [None]],
    ("register", "more"): BOOLEANS,
    ("register_resp", "id"): COUNTERS,
    ("register_resp", "status"): ["", "OK", "okay", 1, True, None],
    ("register_resp", "results"): [None, {}, [1], [{}], [{"name": "a", "status": "fail"}]],
    ("register_resp", "reason"): REASONS,
    ("unregister", "id"): COUNTERS,
    ("unregister", "names"): [None, "kubelet", {}, *([bad] for bad in NAMES)],
    ("mapping_state", "name"): NAMES,
    ("mapping_state", "state"): ["", "UP", "sideways", 1, True, None],
    ("mapping_state", "reason"): REASONS,
    ("mapping_state", "client"): ["", "a b", "a" * 65, 1, True, [], {}],
    ("need_legs", "plain"): BOOLEANS,
    ("need_legs", "count"): COUNTS,
    ("legs_failed", "plain"): BOOLEANS,
    ("legs_failed", "count"): COUNTS,
    ("legs_failed", "reason"): REASONS,
    ("nodes", "id"): COUNTERS,
    ("nodes", "nodes"): [None, "n", {}, *([bad] for bad in ("", "x" * 129, "a b", "a\n", "é", "*", 1, None))],
    ("ping", "n"): COUNTERS,
    ("pong", "n"): COUNTERS,
    ("drain", "deadline_ms"): [*INTEGERS, 86_400_001],
    ("leg", "sid"): ["", SID + "==", NONCE, 1, None],
    ("leg", "seq"): COUNTERS,
    ("leg", "purpose"): ["", "Reverse", "reverse ", "both", 1, None],
    ("leg", "mac"): MACS,
    ("leg", "v"): [*INTEGERS, 0, 1, 3],
    ("leg_ok", "mac"): MACS,
}
BAD_REQUEST: dict[str, list[Any]] = {
    "name": NAMES,
    "remote_port": [*INTEGERS, 65536],
    "bind": HOSTS,
    "protocol": ["", "x" * 65, "t\ncp", 1, None],
    "encrypt": BOOLEANS,
    "public": BOOLEANS,
    "clients": [None, "a", {}, 1],
    "group": ["", "x" * 65, "a b", "a*", 1, ["a"]],
}


def payload(name: str, /, **fields: Any) -> bytes:
    return json.dumps({"type": name, **fields}).encode()


class WireTests(SynchronousTestCase):
    """One complete message of each type."""

    def test_tables_cover_everything(self) -> None:
        """The tables of this file speak of every type and every field, so that a new one cannot go untested."""
        self.assertEqual(set(WIRE), set(BY_TYPE))
        self.assertEqual(set(WIRE), set(messages._SCHEMAS))
        self.assertEqual(set(BAD), {(name, field) for name in WIRE for field in WIRE[name]})

    def test_both_ways(self) -> None:
        """Each is read, and written again to the same JSON."""
        for name, fields in WIRE.items():
            message = decode(payload(name, **fields))
            self.assertEqual(json.loads(encode(message)), {"type": name, **fields})

    def test_native_types(self) -> None:
        """Base64 and hexadecimal stay on the wire: values are bytes, numbers, tuples."""
        hello = decode(payload("hello", **WIRE["hello"]))
        self.assertEqual(hello, messages.Hello(2, 2, "edge-07", bytes(range(32)), ("udp",), b"\x01", "x/1"))
        leg = decode(payload("leg", **WIRE["leg"]))
        self.assertEqual(leg, messages.Leg(bytes(range(16)), 7, "reverse", bytes(31) + b"\xff"))
        register = decode(payload("register", **WIRE["register"]))
        request = MappingRequest("kubelet", 10250, "10.0.0.1", "tcp", False)
        self.assertEqual(register, messages.Register(1, (request,), True))
        response = decode(payload("register_resp", **WIRE["register_resp"]))
        results = (
            MappingResult("kubelet", "ok", 10250),
            MappingResult("api", "fail", None, "acl_denied", "no"),
        )
        self.assertEqual(response, messages.RegisterResp(1, "ok", results, "some"))

    def test_defaults(self) -> None:
        """A mapping is tcp and encrypted, with the server's bind address, unless it says otherwise."""
        register = decode(payload("register", id=1, mappings=[{"name": "a", "remote_port": 0}]))
        self.assertEqual(register, messages.Register(1, (MappingRequest("a", 0, None, "tcp", True),), False))

    def test_other_protocol_is_no_breach(self) -> None:
        """A mapping of another protocol is read; it is for the server to refuse that one mapping."""
        register = decode(
            payload("register", id=1, mappings=[{"name": "a", "remote_port": 1, "protocol": "udp"}])
        )
        assert isinstance(register, messages.Register)
        self.assertEqual(register.mappings[0].protocol, "udp")

    def test_unknown_fields(self) -> None:
        """Unknown fields are ignored, also inside of mappings, results and limits."""
        for name, fields in WIRE.items():
            more = {**fields, "later": {"x": [1]}}
            for nested in ("mappings", "results"):
                if nested in more:
                    more[nested] = [{**entry, "later": 1} for entry in more[nested]]
            if "limits" in more:
                more["limits"] = {**LIMITS, "later": 1}
            self.assertEqual(decode(payload(name, **more)), decode(payload(name, **fields)))

    def test_absent_is_not_written(self) -> None:
        """What is None does not travel, so no peer meets a null."""
        for name in WIRE:
            required = {k: v for k, v in WIRE[name].items() if k not in OPTIONAL.get(name, set())}
            self.assertNotIn(b"null", encode(decode(payload(name, **required))))

    def test_macs_do_not_print(self) -> None:
        """A message that lands in a log does not show its MAC."""
        for name in ("auth", "bearer", "auth_ok", "leg", "leg_ok"):
            message = decode(payload(name, **WIRE[name]))
            self.assertNotIn("mac", repr(message))
            self.assertNotIn(r"\xff", repr(message))
        for name in ("enrol", "bearer"):
            self.assertNotIn(TOKEN, repr(decode(payload(name, **WIRE[name]))))


class RefusalTests(SynchronousTestCase):
    """What is refused, and what the reason says."""

    def refused(self, raw: bytes, *words: str) -> None:
        error = self.assertRaises(RemoteProtocolError, decode, raw)
        self.assertEqual(error.code, "protocol_error")
        for word in words:
            self.assertIn(word, error.reason)

    def test_type(self) -> None:
        """A message has a type, a string, and one that we know; it is shown harmless and short."""
        self.refused(b"{}", "no type")
        types: tuple[Any, ...] = (1, None, [], True)
        for bad in types:
            self.refused(payload("ping", n=1).replace(b'"ping"', json.dumps(bad).encode()), "no type")
        for unknown in ("", "Ping", "open_data_channel", "data_channel"):
            self.refused(payload(unknown), "unknown")
        error = self.assertRaises(RemoteProtocolError, decode, payload("\x1b[2J\r\n" + "x" * 1000))
        self.assertTrue(error.reason.isprintable())
        self.assertTrue(len(error.reason) < 100)

    def test_missing_fields(self) -> None:
        """Each required field is missed by its name, and each other may be absent."""
        for name, fields in WIRE.items():
            for missing in fields:
                rest = {k: v for k, v in fields.items() if k != missing}
                if missing in OPTIONAL.get(name, set()):
                    decode(payload(name, **rest))
                else:
                    self.refused(payload(name, **rest), f"{name}.{missing} is missing")

    def test_bad_fields(self) -> None:
        """Each bad value of each field is refused, with the name of the field."""
        for (name, field), values in BAD.items():
            for bad in values:
                with self.subTest(name=name, field=field, bad=bad):
                    if bad == 2**64:
                        # This one is too much for any integer, and so refused before the fields are looked at.
                        self.assertRaises(
                            RemoteProtocolError, decode, payload(name, **{**WIRE[name], field: bad})
                        )
                    else:
                        where = "heartbeat" if field.startswith("heartbeat") else field
                        self.refused(payload(name, **{**WIRE[name], field: bad}), f"{name}.{where}")

    def test_bad_mappings(self) -> None:
        """The same inside of a mapping, with the path to it."""
        good = {"name": "a", "remote_port": 1}
        for field, values in BAD_REQUEST.items():
            for bad in values:
                with self.subTest(field=field, bad=bad):
                    entries = [good, {**good, field: bad}]
                    self.refused(
                        payload("register", id=1, mappings=entries), f"register.mappings[1].{field} "
                    )
        self.refused(
            payload("register", id=1, mappings=[{"name": "a"}]), "mappings[0].remote_port is missing"
        )

    def test_values_are_not_quoted(self) -> None:
        """A reason names the field and never the value, which may be a misplaced secret."""
        secret = "hunter2 " * 3
        for name, field in BAD:
            if field in ("reason", "agent", "name"):
                continue
            error = self.assertRaises(
                RemoteProtocolError, decode, payload(name, **{**WIRE[name], field: secret})
            )
            self.assertNotIn("hunter2", error.reason)

    def test_edges_are_accepted(self) -> None:
        """The last good values on each side."""
        for name, field, values in (
            ("hello", "client", ["x", "x" * 64, "A-Z.a_z-09"]),
            ("hello", "instance", ["AA", "A" * 86]),
            ("hello", "agent", ["", "x" * 256]),
            ("auth_ok", "heartbeat", [0.001, 1, 10.5]),
            ("auth_ok", "heartbeat_timeout", [86400, 86400.0]),
            ("enrol", "token", ["x" * 32, "~!" * 512]),
            ("error", "retry_after", [0.1, 86400]),
            ("error", "reason", ["", "é" * 2000, "\u0000"]),
            ("need_legs", "count", [1, 4096]),
            ("unregister", "names", [[], ["x" * 128], [" ~"]]),
            ("drain", "deadline_ms", [0, 86_400_000]),
            ("leg", "seq", [0, 2**64 - 1]),
            ("ping", "n", [0, 2**64 - 1]),
        ):
            for good in values:
                decode(payload(name, **{**WIRE[name], field: good}))
        for port in (0, 1, 65535):
            decode(payload("register", id=0, mappings=[{"name": "a", "remote_port": port, "bind": "::1"}]))


class EncodeTests(SynchronousTestCase):
    """What we refuse to send."""

    def test_bad_values_are_ours(self) -> None:
        """A message that the other end would refuse is our own error, with the field's name."""
        for message, where in (
            (messages.Ping(-1), "ping.n"),
            (messages.Ping(True), "ping.n"),
            (messages.NeedLegs(False, 0), "need_legs.count"),
            (messages.Auth(b"short"), "auth.mac"),
            (messages.Auth("00" * 32), "auth.mac"),  # type: ignore[arg-type]
            (messages.Challenge(2, bytes(15), bytes(32)), "challenge.sid"),
            (messages.Challenge(2, None, bytes(32)), "challenge.sid"),  # type: ignore[arg-type]
            (messages.Unregister(1, "kubelet"), "unregister.names"),  # type: ignore[arg-type]
            (messages.Register(1, (MappingRequest("a", 65536),)), "register.mappings.remote_port"),
            (messages.Register(1, (messages.Ping(1),)), "register.mappings"),  # type: ignore[arg-type]
            (messages.RegisterResp(1, "ok", (MappingResult("a", "fail"),)), "register_resp.results.code"),
            (messages.AuthOk(bytes(32), 30, 30, messages.Limits(1, 1, 1)), "auth_ok.heartbeat"),
            (messages.AuthOk(bytes(32), float("nan"), 30, messages.Limits(1, 1, 1)), "auth_ok.heartbeat"),
            (messages.Error("no code"), "error.code"),
        ):
            with self.subTest(where=where):
                error = self.assertRaises(LocalProtocolError, encode, message)
                self.assertIn(where, str(error))

    def test_no_message(self) -> None:
        """Only messages are encoded; a part of one is none."""
        for other in (MappingRequest("a", 1), None, {"type": "ping", "n": 1}):
            self.assertRaises(LocalProtocolError, encode, other)

    def test_reason_never_fails(self) -> None:
        """A reason is cut, and what UTF-8 cannot say is escaped: an answer must not fail for its wording."""
        long = decode(encode(messages.Error("limit", "x" * 100_000)))
        self.assertEqual(long, messages.Error("limit", "x" * 512))
        broken = decode(encode(messages.Error("limit", "caf\udce9")))
        self.assertEqual(broken, messages.Error("limit", "caf\\udce9"))


class PropertyTests(SynchronousTestCase):
    """What holds for all messages and for all bytes."""

    @PROPERTY
    @given(ANY_MESSAGE)
    def test_round_trip(self, message: messages.Message) -> None:
        """Every message comes back as it was."""
        self.assertEqual(decode(encode(message)), message)

    @PROPERTY
    @given(st.binary())
    def test_any_bytes(self, raw: bytes) -> None:
        """No bytes raise anything but RemoteProtocolError."""
        self._survives(raw)

    @PROPERTY
    @given(st.sampled_from(sorted(WIRE)), st.data())
    def test_any_value_in_any_field(self, name: str, data: st.DataObject) -> None:
        """No JSON value in any field raises anything but RemoteProtocolError."""
        field = data.draw(st.sampled_from([*sorted(WIRE[name]), "type"]))
        text = json.dumps({"type": name, **WIRE[name], field: data.draw(JSON)})
        self._survives(text.encode("utf-8", "surrogatepass"))

    @PROPERTY
    @given(ANY_MESSAGE, st.data())
    def test_any_damage(self, message: messages.Message, data: st.DataObject) -> None:
        """A payload with some bytes replaced, cut or doubled raises nothing else either."""
        raw = encode(message)
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, len(raw)))
        self._survives(raw[:start] + data.draw(st.binary(max_size=6)) + raw[end:])

    def _survives(self, raw: bytes) -> None:
        try:
            message = decode(raw)
        except RemoteProtocolError as error:
            self.assertTrue(error.reason.isprintable())
        else:
            # Not the messages are compared: a long reason is cut when it is sent.
            self.assertEqual(encode(decode(encode(message))), encode(message))
