"""What strictjson takes and what it refuses."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire import strictjson

from .strategies import JSON, PROPERTY


class LoadsTests(SynchronousTestCase):
    """What is one strict object is read, and nothing else."""

    def refused(self, payload: bytes, *words: str) -> None:
        error = self.assertRaises(RemoteProtocolError, strictjson.loads, payload)
        self.assertEqual(error.code, "bad_json")
        for word in words:
            self.assertIn(word, error.reason)

    def test_object(self) -> None:
        """All JSON types arrive as their Python counterparts, non-ASCII text and escaped pairs included."""
        text = '{"a":1,"b":[true,false,null,1.5],"c":{"d":"é😀"},"e":"\\ud83d\\ude00"}'
        expected = {"a": 1, "b": [True, False, None, 1.5], "c": {"d": "é😀"}, "e": "😀"}
        self.assertEqual(strictjson.loads(text.encode("utf-8")), expected)

    def test_white_space_around(self) -> None:
        """White space that JSON allows is allowed."""
        self.assertEqual(strictjson.loads(b' \r\n\t{"a" : 1}\n'), {"a": 1})

    def test_other_top_level(self) -> None:
        """Only an object is a message."""
        for payload in (b"[]", b'"x"', b"1", b"null", b"true"):
            self.refused(payload, "not a JSON object")

    def test_syntax(self) -> None:
        """What is not JSON is refused with the place and without the content."""
        for payload in (
            b"",
            b" ",
            b"{",
            b'{"a"}',
            b'{"a":1,}',
            b"{} {}",
            b"{}x",
            b'{"a":01}',
            b"{'a':1}",
            b"\x00",
        ):
            self.refused(payload, "not JSON", "character")
        self.refused(b'{"a":"line\nbreak"}', "not JSON")

    def test_integers_to_64_bits(self) -> None:
        """Integers keep all their bits up to int64 and uint64, and are refused one step beyond."""
        for value in (2**64 - 1, -(2**63), 2**53 + 1, 0):
            self.assertEqual(strictjson.loads(b'{"a":%d}' % value), {"a": value})
        for value in (2**64, -(2**63) - 1):
            self.refused(b'{"a":%d}' % value, "64 bits")

    def test_depth_at_the_limit(self) -> None:
        """Depth max_depth is read, one more is refused; the top-level object counts as 1."""
        self.assertEqual(strictjson.loads(b'{"a":[[]]}', max_depth=3), {"a": [[]]})
        error = self.assertRaises(RemoteProtocolError, strictjson.loads, b'{"a":[[[]]]}', 3)
        self.assertIn("deep", error.reason)
        self.assertEqual(strictjson.loads(b'{"a":' + b"[" * 7 + b"]" * 7 + b"}")["a"], [[[[[[[]]]]]]])
        self.refused(b'{"a":' + b"[" * 8 + b"]" * 8 + b"}", "deep")

    def test_depth_counts_nesting_only(self) -> None:
        """Brackets in strings, escaped quotes before them, and brackets side by side are no depth."""
        beside = {"a": [[] for _ in range(100)], "b": "[" * 100, 'c\\"{[': '\\"' + "{" * 100}
        self.assertEqual(strictjson.loads(json.dumps(beside).encode()), beside)

    @PROPERTY
    @given(JSON, st.booleans())
    def test_agrees_with_json(self, value: object, escape: bool) -> None:
        """Whatever the standard library writes is read as the same value, or refused as RemoteProtocolError."""
        text = json.dumps({"x": value}, ensure_ascii=escape)
        try:
            found = strictjson.loads(text.encode("utf-8", "surrogatepass"), max_depth=16)
        except RemoteProtocolError:
            return
        self.assertEqual(found, {"x": value})

    @PROPERTY
    @given(st.binary() | st.text('[]{}"\\,:1e9-u0dNaIf').map(str.encode))
    def test_any_bytes(self, payload: bytes) -> None:
        """No bytes raise anything but RemoteProtocolError, also with an object around them."""
        for attempt in (payload, b'{"x":' + payload + b"}", b'{"' + payload + b'":1}'):
            try:
                found = strictjson.loads(attempt)
            except RemoteProtocolError:
                continue
            self.assertEqual(strictjson.loads(strictjson.dumps(found)), found)


class DumpsTests(SynchronousTestCase):
    """What is written is compact, UTF-8, and something that loads() reads."""

    def test_compact_utf8(self) -> None:
        """No white space, keys in their order, text as UTF-8."""
        self.assertEqual(strictjson.dumps({"b": [1, 2], "a": "é"}), '{"b":[1,2],"a":"é"}'.encode())

    def test_refusals_are_ours(self) -> None:
        """What JSON cannot say is our own error, and does not quote the value."""
        for value in (float("nan"), float("inf"), b"secret", "\ud800", object()):
            error = self.assertRaises(LocalProtocolError, strictjson.dumps, {"a": value})
            self.assertNotIn("secret", str(error))
