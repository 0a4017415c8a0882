"""How events look on standard error."""

from __future__ import annotations

import json
from io import StringIO

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.logoutput import json_lines, text_lines
from gotunnel.cli.logstyle import priorities
from gotunnel.i18n.codes import code_of
from gotunnel.i18n.events import set_log_language

BROKE = "it broke; what to do: this is a bug in gotunnel: report it with these lines"
TIME = 1795402800.1234  # 2026-11-23T03:00:00.123Z


class _LogTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = StringIO()
        self.publisher = LogPublisher()

    def logger(self, namespace: str = "gotunnel.client.session") -> Logger:
        return Logger(namespace, observer=lambda event: self.publisher({**event, "log_time": TIME}))


class TextTests(_LogTestCase):
    """Lines for an operator."""

    def setUp(self) -> None:
        super().setUp()
        self.publisher.addObserver(text_lines(self.stream))

    def test_line(self) -> None:
        """Time in UTC with milliseconds, level, text."""
        self.logger().info(
            "client {client} connected from {address}", client="edge-07", address="192.0.2.1:5"
        )
        self.logger().warn("hm")
        self.assertEqual(
            self.stream.getvalue(),
            "2026-11-23T03:00:00.123+00:00 [info] client edge-07 connected from 192.0.2.1:5\n"
            "2026-11-23T03:00:00.123+00:00 [warn] hm\n",
        )

    def test_no_forged_line(self) -> None:
        """Line breaks and escape sequences in a value stay on the line, escaped."""
        self.logger().info("from {name}", name="x\r\n2026 [info] forged\x1b[2J\u2028")
        self.assertEqual(
            self.stream.getvalue(),
            "2026-11-23T03:00:00.123+00:00 [info] from x\\r\\n2026 [info] forged\\x1b[2J\\u2028\n",
        )

    def test_chatter(self) -> None:
        """What Twisted says of itself is left out; its warnings and errors are not."""
        self.logger("twisted.internet.base").info("Main loop terminated.")
        self.logger("twisted.web.server.Site").debug("Starting factory")
        self.logger("log_legacy").info("Stopping")
        self.logger("twisted.internet.tcp").warn("too many open files")
        self.logger("somebody.elses.plugin").info("hello")
        self.assertEqual(
            [line.partition(" ")[2] for line in self.stream.getvalue().splitlines()],
            ["[warn] too many open files", "[info] hello"],
        )

    def test_traceback(self) -> None:
        """A bug shows its traceback, indented below its line."""
        try:
            raise ZeroDivisionError("planted\x1b")
        except ZeroDivisionError:
            self.logger().failure("it broke")
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(lines[0], "2026-11-23T03:00:00.123+00:00 [critical] " + BROKE)
        self.assertEqual(lines[1], "    Traceback (most recent call last):")
        self.assertIn("    builtins.ZeroDivisionError: planted\\x1b", lines)
        self.assertTrue(all(line.startswith("    ") for line in lines[1:]))

    def test_old_traceback(self) -> None:
        """So does one that Twisted reports in its older way, as it does for an error in a protocol."""
        try:
            raise ZeroDivisionError("planted")
        except ZeroDivisionError:
            failure = Failure()
        text = f"it broke\n{failure.getTraceback()}"
        self.publisher(
            {
                "log_format": "{log_text}", "log_text": text, "failure": failure, "isError": 1,
                "log_level": LogLevel.critical, "log_namespace": "log_legacy", "log_time": TIME,
            }
        )  # fmt: skip
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(lines[0], "2026-11-23T03:00:00.123+00:00 [critical] it broke")
        self.assertEqual(lines[1], "    Traceback (most recent call last):")
        self.assertIn("    builtins.ZeroDivisionError: planted", lines)

    def test_number(self) -> None:
        """A warning or an error of ours has its number behind the level; a line at info has none, nor has a bug of
        whoever else logs."""
        format = "not connected to the server {server}: {reason}; next try in {seconds:.1f} s"
        self.logger().warn(format, server="a:1", reason="no route to it", seconds=2)
        self.logger().info(format, server="a:1", reason="no route to it", seconds=2)
        self.logger("somebody.else").warn(format, server="a:1", reason="no route to it", seconds=2)
        self.assertEqual(
            [line.split()[1] for line in self.stream.getvalue().splitlines()], ["[warn][1001]", "[info]", "[warn]"]
        )

    def test_language(self) -> None:
        """The language of the log can change while it is written; the values of a line still forge none."""
        self.addCleanup(set_log_language, "en")
        set_log_language("zh")
        format = "client {client} lost ({address}): {reason}{more}"
        self.logger().info(format, client="a", address="b", reason="x\n\x1b[2J", more="")
        set_log_language("en")
        self.logger().info(format, client="a", address="b", reason="x", more="")
        self.assertEqual(
            [line.partition("[info] ")[2] for line in self.stream.getvalue().splitlines()],
            ["客户端 a 失去连接（b）：x\\n\\x1b[2J", "client a lost (b): x"],
        )

    def test_values_that_do_not_fit(self) -> None:
        """A line whose values do not fit its format is written in Twisted's way, in either language."""
        self.addCleanup(set_log_language, "en")
        for name in ("en", "zh"):
            set_log_language(name)
            self.logger().info("client {client} lost ({address}): {reason}", client="a")
        self.assertEqual(self.stream.getvalue().count("Unable to format event"), 2)

    def test_chinese(self) -> None:
        """Text in another language is printed as it is."""
        self.logger().info("客户端 {client} 已连接", client="边缘-07")
        self.assertIn("客户端 边缘-07 已连接\n", self.stream.getvalue())


class JsonTests(_LogTestCase):
    """One object per line, for a collector."""

    def test_object(self) -> None:
        """The fields, the constant format and the text; nothing that cannot be written."""
        self.publisher.addObserver(json_lines(self.stream))
        self.logger().info("client {client} connected", client="edge-07")
        self.logger("twisted.internet.base").info("Main loop terminated.")
        (line,) = self.stream.getvalue().splitlines()
        event = json.loads(line)
        self.assertEqual(
            (event["client"], event["log_format"], event["message"], event["log_level"]["name"]),
            ("edge-07", "client {client} connected", "client edge-07 connected", LogLevel.info.name),
        )
        self.assertEqual((event["log_time"], "unpersistable" in line), (TIME, False))

    def test_number(self) -> None:
        """A line of ours has its number, at any level, and is English whatever the language of the log."""
        self.addCleanup(set_log_language, "en")
        set_log_language("zh")
        self.publisher.addObserver(json_lines(self.stream))
        format = "client {client} lost ({address}): {reason}{more}"
        self.logger().info(format, client="a", address="b", reason="it has expired", more="")
        self.logger().info("something else")
        first, second = (json.loads(line) for line in self.stream.getvalue().splitlines())
        self.assertEqual(first["message"], "client a lost (b): it has expired")
        self.assertEqual(first["event"], code_of(first["log_format"]))
        self.assertIsInstance(first["event"], int)
        self.assertNotIn("event", second)

    def test_journal(self) -> None:
        """In the journal each object has its priority in front."""
        self.publisher.addObserver(json_lines(self.stream, priorities))
        self.logger().warn("hm")
        self.assertTrue(self.stream.getvalue().startswith('<4>{"'), self.stream.getvalue())
