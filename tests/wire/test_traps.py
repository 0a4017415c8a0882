"""Python's own traps around JSON, text and comparison: each was met once, each must end as one refused frame."""

from __future__ import annotations

import codecs
import hmac
import json

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire import messages
from gotunnel.wire.frames import LIMIT_AFTER_AUTH
from gotunnel.wire.handshake import derive_key, same
from gotunnel.wire.messages import decode

PING = '{"type":"ping","n":1}'


def register(port: str) -> bytes:
    return b'{"type":"register","id":1,"mappings":[{"name":"a","remote_port":%s}]}' % port.encode()


class TrapTests(SynchronousTestCase):
    """Where the trap is Python's, the test shows first that it is still there."""

    def refused(self, payload: bytes, code: str = "bad_json") -> None:
        error = self.assertRaises(RemoteProtocolError, decode, payload)
        self.assertEqual(error.code, code)

    def test_other_encodings(self) -> None:
        """json.loads guesses UTF-16 and UTF-32; we do not, nor do we skip a byte order mark."""
        self.assertEqual(decode(PING.encode()), messages.Ping(1))
        for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig"):
            self.assertEqual(json.loads(PING.encode(encoding))["n"], 1)
            self.refused(PING.encode(encoding))
        self.refused(codecs.BOM_UTF8 + PING.encode())

    def test_broken_utf8(self) -> None:
        """Overlong forms, raw surrogates, lone continuation bytes and Latin-1 are no UTF-8."""
        for raw in (b"\xc0\xaf", b"\xed\xa0\x80", b"\x80", b"\xe9", b"\xf4\x90\x80\x80", b"\xff"):
            self.refused(b'{"type":"ping","n":1,"x":"' + raw + b'"}')

    def test_duplicate_keys(self) -> None:
        """With json.loads the last one wins; here neither does, at any depth, however the key is spelled."""
        self.assertEqual(json.loads('{"a":1,"a":2}'), {"a": 2})
        self.refused(b'{"type":"ping","n":1,"n":2}')
        self.refused(b'{"type":"ping","type":"pong","n":1}')
        self.refused(b'{"type":"ping","n":1,"\\u006e":1}')
        self.refused(b'{"type":"ping","n":1,"later":[{"x":{"a":1,"a":1}}]}')

    def test_true_is_no_port(self) -> None:
        """True == 1 for Python; it is not port 1."""
        self.assertIsInstance(True, int)
        self.refused(register("true"), "protocol_error")
        self.refused(register("false"), "protocol_error")
        self.refused(b'{"type":"ping","n":true}', "protocol_error")
        self.refused(b'{"type":"need_legs","plain":false,"count":true}', "protocol_error")

    def test_float_is_no_port(self) -> None:
        """22.0 == 22 for Python; it is not port 22. A string is none either."""
        for port in ("22.0", "2.2e1", "22e0", '"22"'):
            self.refused(register(port), "protocol_error")
        decode(register("22"))

    def test_not_a_number(self) -> None:
        """NaN and Infinity are not JSON, wherever they stand."""
        for constant in ("NaN", "Infinity", "-Infinity"):
            self.assertIsInstance(json.loads(constant), float)
            self.refused(register(constant))
            self.refused(b'{"type":"ping","n":1,"later":[%s]}' % constant.encode())

    def test_overflowing_float(self) -> None:
        """1e400 is Infinity for Python; it is refused, as a port, as seconds, and in a field that we do not know."""
        self.assertEqual(json.loads("1e400"), float("inf"))
        for number in (b"1e400", b"-1e400", b"1" + b"0" * 400 + b".0"):
            self.refused(register(number.decode()))
            self.refused(b'{"type":"error","code":"limit","retry_after":%s}' % number)
            self.refused(b'{"type":"ping","n":1,"later":%s}' % number)

    def test_depth_bomb(self) -> None:
        """8,000 brackets are a RecursionError for json.loads; here they are a refused frame, closed or not."""
        for opening, closing in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")):
            bomb = opening * 8000 + "1" + closing * 8000
            for text in (bomb, '{"type":"ping","n":1,"later":' + bomb + "}", opening * 8000):
                self.refused(text.encode())

    def test_big_integer(self) -> None:
        """More than 4,300 digits are a ValueError for int(); 16 KiB of them are a refused frame."""
        digits = "9" * 16384
        self.refused(register(digits))
        self.refused(register("-" + digits))
        self.refused(b'{"type":"ping","n":%s}' % digits.encode())
        self.refused(b'{"type":"ping","n":1,"later":%s}' % digits.encode())

    def test_lone_surrogates(self) -> None:
        """Half a pair from an escape would raise at the first encode(), far from here; it is refused at once."""
        self.assertRaises(UnicodeEncodeError, json.loads('"\\ud800"').encode)
        for half in (b"\\ud800", b"\\uDFFF", b"a\\udc00\\ud800"):
            self.refused(b'{"type":"error","code":"limit","reason":"%s"}' % half)
            self.refused(b'{"type":"ping","n":1,"%s":1}' % half)
            self.refused(b'{"type":"%s"}' % half)
        whole = decode(b'{"type":"error","code":"limit","reason":"\\ud83d\\ude00"}')
        self.assertEqual(whole, messages.Error("limit", "\N{GRINNING FACE}"))

    def test_compare_digest(self) -> None:
        """hmac.compare_digest raises for text beyond ASCII; our comparison, and a token with such text, do not."""
        self.assertRaises(TypeError, hmac.compare_digest, "é", "x")
        self.assertFalse(same("é", "x"))
        self.assertTrue(same("é", "é"))
        self.assertFalse(same("\ud800", "x"))
        self.assertEqual(len(derive_key("é" * 32, "edge")), 32)
        mac = json.dumps("é" * 64).encode()
        self.refused(b'{"type":"auth","mac":%s}' % mac, "protocol_error")

    def test_digits_beyond_ascii(self) -> None:
        """Python's int() and \\d take other digits and line ends slip past `$`; hexadecimal and names do not."""
        self.assertEqual(int("٣"), 3)
        for mac in ("٣" * 64, "0" * 63 + "\n", "0" * 64 + "\n"):
            self.refused(b'{"type":"auth","mac":%s}' % json.dumps(mac).encode(), "protocol_error")
        self.refused(b'{"type":"unregister","id":1,"names":["a\\n"]}', "protocol_error")

    def test_longest_hostile_payloads(self) -> None:
        """What costs a naive parser quadratic time fills the longest frame, and is refused like the rest."""
        for pattern in ('"', '\\"', '"\\', "{", '{"a":[', "[]", "1", "1e", '"\\u', "\\ud800"):
            for start in ("", '{"type":"ping","n":1,"later":', '{"type":"ping","n":1,"later":"'):
                text = (start + pattern * LIMIT_AFTER_AUTH)[:LIMIT_AFTER_AUTH]
                self.refused(text.encode())
