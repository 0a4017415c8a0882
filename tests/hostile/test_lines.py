"""Whatever a value holds, what is logged or printed of it is one line of harmless characters; and what our small
parsers of text take is fit to print."""

from __future__ import annotations

import io
import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort, parse_address, parse_host_port, parse_port
from gotunnel.cli.logoutput import json_lines, line_of, text_lines
from gotunnel.core.ports import PortSet, canonical_bind
from gotunnel.errors import PRINTABLE_CHARACTERS, AuthRejected, RemoteProtocolError, printable
from tests.wire.strategies import PROPERTY

WILD = st.text(st.characters(), max_size=200)  # half surrogate pairs too
NASTY = st.lists(
    st.sampled_from(
        ["\r\n", "\n", "\x1b[2J", "\x1b]0;x\x07", "\x9b", "\u202e", "\u2066", "\u200b", "\u2028", "\x85", "\x00",
         "\ud800", "[info] ", "{token}", "%s", "\U0001f600", "名", "\ufeff", "\u00ad", "a" * 100]
    )
).map("".join)  # fmt: skip
VALUES = WILD | NASTY | st.binary(max_size=200)
SCOPES = st.text("ab0%\x1b\n é]", max_size=4).map(lambda scope: f"[fe80::1%{scope}]:22")
PIECES = st.text("abz019.:[]%-_ /\\\x00\n²é", max_size=20)
ADDRESSES = PIECES | SCOPES | SCOPES.map(lambda text: text[1:].partition("]")[0])

CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")
"""Unicode's categories of what moves, hides or turns text around."""


class PrintableTests(SynchronousTestCase):
    """gotunnel.errors.printable, through which every foreign value goes."""

    @PROPERTY
    @given(VALUES, st.integers(2, 300))
    def test_any_value(self, value: str | bytes, limit: int) -> None:
        """One line, no control characters, bounded."""
        shown = printable(value, limit)
        self.assertLessEqual(len(shown), limit)
        self.assertEqual([c for c in shown if unicodedata.category(c) in CONTROL], [])
        self.assertEqual(len(shown.splitlines()), 1 if shown else 0)
        shown.encode("utf-8")

    def test_a_mebibyte(self) -> None:
        """What is long is cut before it is looked at."""
        for value in ("x" * 2**20, "\n" * 2**20, b"\xff" * 2**20):
            self.assertLessEqual(len(printable(value)), PRINTABLE_CHARACTERS)

    @PROPERTY
    @given(VALUES.map(str), VALUES.map(str))
    def test_of_errors(self, code: str, reason: str) -> None:
        """An error that quotes a peer is one line too."""
        self.assertTrue(str(AuthRejected(code, reason)).isprintable())


class LineTests(SynchronousTestCase):
    """The observers, as the last wall: even a value that nobody has cleaned."""

    def event(self, value: object, **more: object) -> dict[str, object]:
        """Return an event as twisted.logger makes it."""
        return {
            "log_time": 1.0,
            "log_level": LogLevel.info,
            "log_namespace": "gotunnel.server",
            "log_format": "client {value} came",
            "value": value,
            **more,
        }

    @PROPERTY
    @given(VALUES)
    def test_text(self, value: str | bytes) -> None:
        """One event is one line."""
        line = line_of(self.event(value))
        self.assertEqual((line.count("\n"), line[-1]), (1, "\n"))
        self.assertTrue(line[:-1].isprintable())
        out = io.StringIO()
        text_lines(out)(self.event(value))
        self.assertEqual(out.getvalue(), line)

    @PROPERTY
    @given(VALUES)
    def test_json(self, value: str | bytes) -> None:
        """One event is one object on one line of ASCII, a failure with its words too."""
        for more in ({}, {"log_failure": Failure(ValueError(value))}):
            out = io.StringIO()
            json_lines(out)(self.event(value, **more))
            line = out.getvalue()
            self.assertEqual((line.count("\n"), line[-1]), (1, "\n"))
            self.assertTrue(line[:-1].isascii() and line[:-1].isprintable())
            found = json.loads(line)
            self.assertIn("message", found)
            if more:
                self.assertTrue(found["error"].isprintable())
                self.assertIn("ValueError", found["traceback"])

    @PROPERTY
    @given(VALUES.map(str))
    def test_traceback(self, value: str) -> None:
        """A bug's traceback takes several lines, each of them harmless and none at the margin."""
        try:
            raise RemoteProtocolError(value)
        except RemoteProtocolError:
            failure = Failure()
        first, *rest = line_of(self.event(value, log_failure=failure)).splitlines()
        self.assertTrue(first.startswith("1970-01-01T"))
        for line in (first, *rest):
            self.assertTrue(line.isprintable())
        for line in rest:
            self.assertTrue(line.startswith("    "))


class TextParserTests(SynchronousTestCase):
    """Addresses and ports, of files and of peers."""

    @PROPERTY
    @given(ADDRESSES | WILD)
    def test_addresses(self, text: str) -> None:
        """Any text is an address that prints and is read again as itself, or a ValueError."""
        for parse in (parse_address, parse_host_port):
            try:
                address = parse(text, default_host="127.0.0.1", default_port=1)
            except ValueError:
                continue
            shown = str(address)
            if isinstance(address, HostPort):
                self.assertTrue(shown.isprintable() and shown.isascii(), shown)
                self.assertEqual(parse_host_port(shown), address)

    @PROPERTY
    @given(ADDRESSES | WILD)
    def test_binds_and_ports(self, text: str) -> None:
        """The same for what a peer wants to listen on, and for sets of ports."""
        for parse in (canonical_bind, parse_port, lambda each: PortSet.parse([each])):
            try:
                found = str(parse(text))
            except ValueError:
                continue
            self.assertTrue(found.isprintable() and found.isascii(), found)
