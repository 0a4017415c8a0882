"""The JSON bodies of leg frames."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError, RemoteProtocolError
from gotunnel.wire import openform, strictjson
from gotunnel.wire.fields import Misfit, Schema
from gotunnel.wire.legbodies import LIMIT, OpenBody, OpenedBody, RstBody

from .strategies import JSON, OPEN, PROPERTY, RST

MAC = "00" * 31 + "ff"
FULL = {"conn": "c1", "src": "192.0.2.1:40000", "mapping": "web", "client": "edge-07", "n": 1, "mac": MAC}


SCHEMA = Schema(OpenBody)


def by_schema_written(body: OpenBody) -> bytes:
    """What an OPEN is by the rules of its fields. Raises LocalProtocolError."""
    try:
        return strictjson.dumps(SCHEMA.write(body))
    except Misfit as misfit:
        raise LocalProtocolError(str(misfit)) from None


def by_schema_read(raw: bytes) -> OpenBody:
    """The other way. Raises RemoteProtocolError."""
    try:
        return SCHEMA.read(strictjson.loads(raw))
    except Misfit as misfit:
        raise RemoteProtocolError(str(misfit)) from None


class OpenTests(SynchronousTestCase):
    """OPEN, in the form that is the reference."""

    form = (openform.write, openform.read, openform.prove)

    def setUp(self) -> None:
        for name, function in zip(("write", "read", "prove"), self.form, strict=True):
            self.patch(openform.FORM, name, function)

    def refused(self, word: str, **fields: Any) -> None:
        error = self.assertRaises(RemoteProtocolError, OpenBody.decode, json.dumps(fields).encode())
        self.assertIn("OPEN", error.reason)
        self.assertIn(word, error.reason)

    def test_both_ways(self) -> None:
        """All fields, the least there may be, and the other kind."""
        full = OpenBody("c1", "192.0.2.1:40000", "web", None, "edge-07", 1, bytes(31) + b"\xff")
        for body, fields in (
            (full, FULL),
            (OpenBody("c", "s", mapping="m"), {"conn": "c", "src": "s", "mapping": "m"}),
            (OpenBody("c", "s", mapping="m", dst="d"), {"conn": "c", "src": "s", "mapping": "m", "dst": "d"}),
            (OpenBody("c", "s", dial="db:1"), {"conn": "c", "src": "s", "dial": "db:1"}),
            (OpenBody("c", "s", measure=0), {"conn": "c", "src": "s", "measure": 0}),
        ):
            self.assertEqual(OpenBody.decode(json.dumps({**fields, "later": 1}).encode()), body)
            self.assertEqual(json.loads(body.encode()), fields)

    def test_where_to(self) -> None:
        """Either a mapping or an address is dialled, or the server itself; only a mapping is another client's."""
        both = {**FULL, "dial": "db:1"}
        self.refused("one of mapping, dial and measure", **both)
        self.refused("one of mapping, dial and measure", **FULL, measure=0)
        self.refused("one of mapping, dial and measure", conn="c", src="s")
        self.refused("OPEN.measure", conn="c", src="s", measure=2**26 + 1)
        self.refused("OPEN.client", conn="c", src="s", dial="db:1", client="x")

    def test_number_and_mac(self) -> None:
        """The number without its MAC, or the reverse, is no proof."""
        for absent in ("n", "mac"):
            self.refused("n and mac", **{k: v for k, v in FULL.items() if k != absent})

    def test_fields(self) -> None:
        """Each field refuses what is not its own."""
        for field, values in {
            "conn": ["", "x" * 65, "a\n", "é", 1, None],
            "src": ["", "x" * 321, "a\n", 1, None],
            "mapping": ["", "x" * 129, "a\n", 1, None],
            "client": ["", "x" * 65, "a b", 1, None],
            "n": [0, -1, True, 1.0, "1", None],
            "mac": ["", MAC.upper(), MAC[1:], 1, None],
        }.items():
            for bad in values:
                with self.subTest(field=field, bad=bad):
                    self.refused(f"OPEN.{field}", **{**FULL, field: bad})
        self.refused("OPEN.dial", conn="c", src="s", dial="a\nb")
        self.refused("OPEN.conn is missing", src="s", mapping="m")

    def test_ours(self) -> None:
        """We do not send what the other end would refuse."""
        for body in (
            OpenBody("c", "s"),
            OpenBody("c", "s", mapping="m", dial="d"),
            OpenBody("c", "s", mapping="m", n=1),
            OpenBody("", "s", mapping="m"),
        ):
            self.assertRaises(LocalProtocolError, body.encode)

    def test_mac_does_not_print(self) -> None:
        """A body that lands in a log does not show its MAC."""
        self.assertNotIn("mac", repr(OpenBody("c", "s", mapping="m", n=1, mac=bytes(32))))

    def test_longest(self) -> None:
        """The longest values that fields take fit into one body."""
        body = OpenBody("c" * 64, "\\" * 320, "\\" * 128, None, "x" * 64, 2**64 - 1, bytes(32))
        self.assertEqual(OpenBody.decode(body.encode()), body)
        body = OpenBody("\\" * 64, "\\" * 320, None, "\\" * 320, None, 2**64 - 1, bytes(32))
        self.assertEqual(OpenBody.decode(body.encode()), body)

    @PROPERTY
    @given(OPEN)
    def test_round_trip(self, body: OpenBody) -> None:
        """Every body comes back as it was."""
        self.assertEqual(OpenBody.decode(body.encode()), body)

    @PROPERTY
    @given(OPEN)
    def test_usual_writing(self, body: OpenBody) -> None:
        """The short way writes what JSON and the schema do."""
        self.assertEqual(body.encode(), by_schema_written(body))

    @PROPERTY
    @given(
        st.sampled_from(["c", "", "c" * 65, 'c"', "c\\", "\x7f", "é", "c\n", " "]),
        st.sampled_from(["a:1", "", 'a","src":"b', "a" * 321]),
        st.sampled_from(["m", None, "", 'm","n":1,"mac":"' + "0" * 64, 'm","x":"', "m" * 129]),
        st.sampled_from([None, 0, 1, True, 2**64, -1, "1", 1.0]),
        st.sampled_from([None, bytes(32), bytes(31), "0" * 64, b""]),
    )
    def test_usual_writing_refuses(self, conn: str, src: str, mapping: Any, n: Any, mac: Any) -> None:
        """What the schema would not write, or not so, the short way does not write either."""
        body = OpenBody(conn, src, mapping, n=n, mac=mac)
        try:
            expected = by_schema_written(body)
        except LocalProtocolError:
            self.assertRaises(LocalProtocolError, body.encode)
        else:
            self.assertEqual(body.encode(), expected)

    @PROPERTY
    @given(
        st.sampled_from(['"c1"', '""', f'"{"c" * 65}"', '"\\u0063"', '"c\\n"', '"\x7f"', '"é"', "1"]),
        st.sampled_from(['"m"', f'"{"m" * 128}"', f'"{"m" * 129}"', '"m","mapping":"m"', 'null']),
        st.sampled_from(["1", "0", "01", "-1", "1.0", "1e3", "9" * 19, "9" * 20, str(2**64), '"1"', None]),
        st.sampled_from(["0" * 64, "A" * 64, "f" * 63, "", "０" * 64]),
        st.sampled_from(["", " ", "\n", "x"]),
    )
    def test_usual_reading(self, conn: str, mapping: str, n: str | None, mac: str, end: str) -> None:
        """The short way reads nothing that JSON and the schema read otherwise, or refuse."""
        proof = "" if n is None else f',"n":{n},"mac":"{mac}"'
        raw = f'{{"conn":{conn},"src":"a:1","mapping":{mapping}{proof}}}{end}'.encode()
        try:
            expected = by_schema_read(raw)
        except RemoteProtocolError:
            self.assertRaises(RemoteProtocolError, OpenBody.decode, raw)
        else:
            self.assertEqual(OpenBody.decode(raw), expected)


class RstTests(SynchronousTestCase):
    """RST."""

    def test_both_ways(self) -> None:
        """With a reason and without."""
        self.assertEqual(RstBody("refused").encode(), b'{"code":"refused"}')
        self.assertEqual(RstBody.decode(b'{"code":"refused","x":1}'), RstBody("refused"))
        self.assertEqual(RstBody.decode(b'{"code":"a","reason":"b"}'), RstBody("a", "b"))

    def test_refused(self) -> None:
        """A code is needed, and is a word."""
        for raw in (
            b"{}",
            b'{"code":""}',
            b'{"code":1}',
            b'{"code":"A b"}',
            b'{"code":"a","reason":null}',
            b"[]",
        ):
            self.assertRaises(RemoteProtocolError, RstBody.decode, raw)

    def test_longest_reason(self) -> None:
        """Any reason fits: it is cut, whatever its characters cost."""
        for character in ("x", "\0", "😀", "\ud800"):
            self.assertTrue(len(RstBody("x" * 64, character * 5000).encode()) <= LIMIT)

    @PROPERTY
    @given(RST)
    def test_round_trip(self, body: RstBody) -> None:
        """Every body comes back as it was."""
        self.assertEqual(RstBody.decode(body.encode()), body)


class AnyBodyTests(SynchronousTestCase):
    """What holds for all three."""

    def test_opened(self) -> None:
        """OPENED is an empty object, and may say more one day."""
        self.assertEqual(OpenedBody().encode(), b"{}")
        self.assertEqual(OpenedBody.decode(b'{"later":[1]}'), OpenedBody())
        self.assertRaises(RemoteProtocolError, OpenedBody.decode, b"")

    def test_limit(self) -> None:
        """4,096 bytes are read, one more is not, whatever they say."""
        for cls, start in (
            (OpenBody, b'{"conn":"c","src":"s","dial":"d"'),
            (RstBody, b'{"code":"a"'),
            (OpenedBody, b"{"),
        ):
            fill = start + b" " * (LIMIT - len(start) - 1) + b"}"
            cls.decode(fill)
            self.assertRaises(RemoteProtocolError, cls.decode, fill + b" ")

    @PROPERTY
    @given(
        st.binary()
        | st.dictionaries(st.sampled_from([*FULL, "dial", "code", "reason"]), JSON)
        .map(json.dumps)
        .map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
    def test_any_bytes(self, raw: bytes) -> None:
        """No bytes raise anything but RemoteProtocolError."""
        for cls in (OpenBody, RstBody, OpenedBody):
            try:
                body = cls.decode(raw)
            except RemoteProtocolError:
                continue
            self.assertIsInstance(body, cls)
