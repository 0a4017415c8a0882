"""A seeded source of frames that break the contract, of the kinds that have brought other tunnels down. Each kind is
right up to the point where it is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, data_header

__all__ = ["BANNERS", "CONTROL", "FIRST", "LEG", "LENGTHS", "Kind"]

Kind = Callable[[random.Random], bytes]
"""Makes the bytes of one frame, or of what stands in place of one."""

BANNERS = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.7\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"EHLO example.com\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a!\x11\x00\x0c" + bytes(12),
    b"*1\r\n$4\r\nPING\r\n",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
)
"""How other protocols begin: HTTP, SSH, TLS, SMTP, PROXY 1 and 2, Redis, RDP."""

LENGTHS = (0, 4097, 65536, 65537, 2**24 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Headers that no frame may have before the proof; those above 65,536, and 0, never."""


def _noise(rng: random.Random, most: int = 64) -> bytes:
    return rng.randbytes(rng.randint(1, most))


def _text(rng: random.Random) -> str:
    return "".join(chr(rng.choice((rng.randint(0, 127), rng.randint(0x80, 0xD7FF)))) for _ in range(rng.randint(1, 20)))


def _frame(make: Callable[[random.Random], bytes]) -> Kind:
    return lambda rng: encode_frame(make(rng))


def _json(make: Callable[[random.Random], object]) -> Kind:
    return _frame(lambda rng: json.dumps(make(rng)).encode())


def _register(port: str) -> bytes:
    return b'{"type":"register","id":1,"mappings":[{"name":"a","remote_port":%s}]}' % port.encode()


def _port(rng: random.Random) -> str:
    return rng.choice(
        ("true", "false", "null", "1.5", "22.0", "-1", "65536", str(rng.randint(65536, 2**63)), "1e400", "-1e400",
         "NaN", "Infinity", '"22"', "[22]", "{}", "9" * rng.randint(20, 3000), "٣", "0x16", "1_0", "+1", "01")
    )  # fmt: skip


def _encoded(rng: random.Random) -> bytes:
    text = json.dumps({"type": "ping", "n": rng.randint(0, 9)})
    return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig")))


def _twice(rng: random.Random) -> bytes:
    key = rng.choice(("type", "n", "v", "client", "mac"))
    return b'{"type":"ping","n":1,"%s":1,"%s":%d}' % (key.encode(), key.encode(), rng.randint(0, 9))


def _deep(rng: random.Random) -> bytes:
    opening = rng.choice((b"[", b'{"a":', b'[{"a":'))
    depth = rng.randint(9, 4000 // len(opening))
    return (rng.choice((b"", b'{"type":"ping","n":1,"x":')) + opening * depth)[:4096]


def _surrogate(rng: random.Random) -> bytes:
    return b'{"type":"error","code":"x","reason":"\\u%04x"}' % rng.randint(0xD800, 0xDFFF)


def _nul(rng: random.Random) -> bytes:
    return bytes(rng.randint(1, 100)) + rng.choice((b"", b"{}"))


def _top(rng: random.Random) -> object:
    return rng.choice(([], "hello", 1, None, True, [{"type": "hello"}], {}, {"type": None}, {"type": ["hello"]}))


def _unknown(rng: random.Random) -> object:
    return {"type": rng.choice((_text(rng), "HELLO", "hello ", "auth\0", "__class__", "open_data_channel")), "n": 1}


def _half(rng: random.Random) -> object:
    """Messages that lack what they need, or have it of a wrong kind."""
    kind = rng.choice(("hello", "challenge", "auth", "auth_ok", "leg", "leg_ok", "need_legs"))
    wrong = rng.choice((None, True, -1, 2**64, 1.5, "", _text(rng), [], {}, "A" * 42 + "B", "0" * 63, "A" * 22 + "="))
    fields = ("v", "min_v", "client", "nonce", "sid", "seq", "purpose", "mac", "plain", "count")
    # Version 2 itself must stand, or the answer is about the version.
    return {"type": kind, **{name: wrong for name in fields if rng.random() < 0.7}, "v": 2, "min_v": 2, "mac": wrong}


PAYLOADS: dict[str, Kind] = {
    "noise": _frame(lambda rng: b"\xff" + _noise(rng)),
    "one byte": _frame(lambda rng: rng.randbytes(1)),
    "encoding": _frame(_encoded),
    "nul": _frame(_nul),
    "not an object": _json(_top),
    "twice": _frame(_twice),
    "depth": _frame(_deep),
    "surrogate": _frame(_surrogate),
    "digits": _frame(lambda rng: b'{"type":"ping","n":%s}' % (b"9" * rng.randint(20, 4000))),
    "float": _frame(lambda rng: b'{"type":"ping","n":%s}' % rng.choice((b"1e400", b"-1e999", b"1.0", b"NaN"))),
    "unknown type": _json(_unknown),
    "half a message": _json(_half),
    "cut": _frame(lambda rng: b'{"type":"ping","n":1,"x":"abc"}'[: rng.randint(1, 29)]),
}

FIRST: dict[str, Kind] = {
    **PAYLOADS,
    "length": lambda rng: rng.choice([n for n in LENGTHS if n < 2**24]).to_bytes(4, "big") + _noise(rng),
    "register": _frame(lambda rng: _register(_port(rng))),
}
"""What is answered and closed before the proof. All begin with the zero byte of a frame."""

CONTROL: dict[str, Kind] = {
    **PAYLOADS,
    "length": lambda rng: rng.choice([n for n in LENGTHS if n == 0 or n > 65536]).to_bytes(4, "big") + _noise(rng),
    "port": _frame(lambda rng: _register(_port(rng))),
    "banner": lambda rng: rng.choice([banner for banner in BANNERS if banner[0]]),
    "big integer": _frame(lambda rng: _register("9" * 16384)),
    "depth 8,000": _frame(lambda rng: b'{"type":"ping","n":1,"x":' + b"[" * 8000),
}
"""What ends an authenticated control connection."""

LEG: dict[str, Kind] = {
    "type": lambda rng: (rng.randint(7, 255) << 24 | rng.randint(0, 2**24 - 1)).to_bytes(4, "big") + _noise(rng),
    "empty data": lambda rng: bytes(4),
    "data": lambda rng: data_header(3) + b"abc",
    "fin with a body": lambda rng: (1 << 24 | rng.randint(1, 2**24 - 1)).to_bytes(4, "big"),
    "fin": lambda rng: FIN_FRAME,
    "long rst": lambda rng: (2 << 24 | rng.randint(4097, 2**24 - 1)).to_bytes(4, "big"),
    "empty rst": lambda rng: (2 << 24).to_bytes(4, "big"),
    "bad rst": lambda rng: _body(2, rng.choice((b"[]", b"{}", b'{"code":1}', b'{"code":"A B"}', _noise(rng)))),
    "open": lambda rng: _body(3, b'{"conn":"c","src":"s","mapping":"web"}'),
    "bad opened": lambda rng: _body(4, rng.choice((b"[]", b"1", b"\xff", b"{}{}"))),
    "long opened": lambda rng: (4 << 24 | rng.randint(4097, 2**24 - 1)).to_bytes(4, "big"),
    "done": lambda rng: DONE_FRAME,
    "probe": lambda rng: PROBE_FRAME,
    "banner": lambda rng: rng.choice([banner for banner in BANNERS if banner[0] > 6]),
}
"""What ends a leg at its opener, in whatever state it is before the dial is answered."""


def _body(kind: int, body: bytes) -> bytes:
    return (kind << 24 | len(body)).to_bytes(4, "big") + body
