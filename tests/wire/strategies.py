"""Hypothesis strategies for every message and body, and the settings that keep the properties deterministic."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gotunnel.wire import legbodies, messages

PROPERTY = settings(
    derandomize=True, database=None, deadline=None, max_examples=200,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)  # fmt: skip
"""Decorates each property: the same examples on each run and each machine, and no time limit for a slow one. A compiled
part inherits the properties of what it replaces, and nothing is kept from one of the two for the other."""


def _ascii(low: int, high: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=low, max_size=high)


def _of(alphabet: str, high: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=high)


_letters = "abcXYZ019._-"
_counter = st.integers(0, 2**64 - 1)
_port = st.integers(0, 65535)
_count = st.integers(1, 4096)
_seconds = st.integers(1, 86400) | st.floats(0.001, 86400)
_limit = st.integers(0, 2**31 - 1)
_version = st.integers(1, 65535)
_mac = st.binary(min_size=32, max_size=32)
_sid = st.binary(min_size=16, max_size=16)
_name = _ascii(1, 128)
_client = _of(_letters, 64)
_host = _of(_letters + ":%", 253)
_code = _of("abc_09", 64)
_reason = st.text(max_size=512)
_caps = st.lists(_ascii(1, 64), max_size=4).map(tuple)
_status = st.sampled_from(["ok", "fail"])


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def _auth_ok(draw: st.DrawFn) -> messages.AuthOk:
    heartbeat = draw(st.integers(1, 86399))
    timeout = draw(st.integers(heartbeat + 1, 86400))
    limits = messages.Limits(draw(_limit), draw(_limit), draw(_limit))
    return messages.AuthOk(draw(_mac), heartbeat, timeout, limits, draw(_maybe(_of(_letters, 253))))


_request = st.builds(messages.MappingRequest, _name, _port, _maybe(_host), _ascii(1, 64), st.booleans())
_result = st.builds(messages.MappingResult, _name, _status, _maybe(_port), _code, _maybe(_reason))

_node = st.sampled_from(["worker-1", "10.0.0.11", "10.0.0.0/8", "fd00::/8", "n"])

BY_TYPE: dict[str, st.SearchStrategy[messages.Message]] = {
    "hello": st.builds(
        messages.Hello,
        _version,
        _version,
        _client,
        _mac,
        _caps,
        _maybe(st.binary(min_size=1, max_size=64)),
        _maybe(st.text(max_size=256)),
    ),
    "challenge": st.builds(
        messages.Challenge, _version, _sid, _mac, _caps, _maybe(st.binary(min_size=1, max_size=64)),
        _maybe(st.floats(0, 2**53) | st.integers(0, 2**53)),
    ),
    "auth": st.builds(messages.Auth, _mac),
    "bearer": st.builds(
        messages.Bearer, st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), _mac
    ),
    "auth_ok": _auth_ok(),
    "enrol": st.builds(messages.Enrol, st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=32)),
    "enrolled": st.builds(messages.Enrolled),
    "error": st.builds(messages.Error, _code, _reason, _maybe(_seconds)),
    "register": st.builds(
        messages.Register, _counter, st.lists(_request, max_size=3).map(tuple), st.booleans()
    ),
    "register_resp": st.builds(
        messages.RegisterResp, _counter, _status, st.lists(_result, max_size=3).map(tuple), _maybe(_reason)
    ),
    "unregister": st.builds(messages.Unregister, _counter, st.lists(_name, max_size=3).map(tuple)),
    "mapping_state": st.builds(
        messages.MappingState, _name, st.sampled_from(["up", "down"]), _reason, _maybe(_client)
    ),
    "need_legs": st.builds(messages.NeedLegs, st.booleans(), _count),
    "legs_failed": st.builds(messages.LegsFailed, st.booleans(), _count, _reason),
    "nodes": st.builds(messages.Nodes, _counter, st.lists(_node, max_size=3).map(tuple)),
    "ping": st.builds(messages.Ping, _counter),
    "pong": st.builds(messages.Pong, _counter),
    "drain": st.builds(messages.Drain, st.integers(0, 86_400_000)),
    "drain_ok": st.builds(messages.DrainOk),
    "leg": st.builds(messages.Leg, _sid, _counter, st.sampled_from(["reverse", "forward"]), _mac),
    "leg_ok": st.builds(messages.LegOk, _mac),
}
ANY_MESSAGE = st.one_of(list(BY_TYPE.values()))


@st.composite
def _open(draw: st.DrawFn) -> legbodies.OpenBody:
    mapping = draw(_maybe(_name))
    dial = None if mapping is not None else draw(_maybe(_ascii(1, 320)))
    measure = draw(st.integers(0, 2**26)) if mapping is None and dial is None else None
    client = draw(_maybe(_client)) if mapping is not None else None
    n = draw(_maybe(st.integers(1, 2**64 - 1)))
    mac = None if n is None else draw(_mac)
    dst = draw(_maybe(_ascii(1, 320)))
    return legbodies.OpenBody(draw(_ascii(1, 64)), draw(_ascii(1, 320)), mapping, dial, client, n, mac, measure, dst)


OPEN = _open()
RST = st.builds(legbodies.RstBody, _code, _maybe(_reason))

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Any value that Python's json module writes, NaN, Infinity and huge integers included."""
