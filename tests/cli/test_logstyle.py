"""What the journal, a terminal and a file get."""

from __future__ import annotations

import os
import pty
from io import StringIO

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.logstyle import colours, plain, priorities, style_of


class StyleTests(SynchronousTestCase):
    """Which style is for which stream."""

    def test_journal(self) -> None:
        """The variable must name this very stream: a child inherits it whatever its standard error is."""
        with open(self.mktemp(), "w") as stream:
            status = os.fstat(stream.fileno())
            here = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}", "TERM": "xterm"}
            self.assertIs(style_of(stream, here), priorities)
            self.assertIs(style_of(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"}), plain)
            self.assertIs(style_of(stream, {"TERM": "xterm"}), plain)

    def test_terminal(self) -> None:
        """Colours, unless NO_COLOR says something, or the terminal has none."""
        main, sub = pty.openpty()
        self.addCleanup(os.close, main)
        with os.fdopen(sub, "w") as stream:
            self.assertIs(style_of(stream, {"TERM": "xterm"}), colours)
            self.assertIs(style_of(stream, {"TERM": "xterm", "NO_COLOR": ""}), colours)
            for env in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}):
                self.assertIs(style_of(stream, env), plain)

    def test_no_descriptor(self) -> None:
        """A stream without a descriptor is neither."""
        self.assertIs(style_of(StringIO(), {"JOURNAL_STREAM": "1:2", "TERM": "xterm"}), plain)

    def test_priorities(self) -> None:
        """Each line of a text has the number of syslog(3)."""
        self.assertEqual(priorities("a\n    b\n", LogLevel.critical), "<2>a\n<2>    b\n")
        self.assertEqual(
            [priorities("a\n", level) for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error)],
            ["<7>a\n", "<6>a\n", "<4>a\n", "<3>a\n"],
        )

    def test_colours(self) -> None:
        """The level alone is coloured, once; a line at info is not."""
        self.assertEqual(colours("t [warn] a [warn]\n", LogLevel.warn), "t \x1b[33m[warn]\x1b[0m a [warn]\n")
        self.assertEqual(colours("t [info] a\n", LogLevel.info), "t [info] a\n")
