"""Every warning and every error says what to do."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import yaml
from twisted.logger import ILogObserver, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel import logs
from gotunnel.admin.events import Events
from gotunnel.cli.logoutput import json_lines, text_lines
from gotunnel.i18n.codes import code_of
from gotunnel.i18n.events import set_log_language
from gotunnel.i18n.hints import BUG, FILE, hint_of, load_hints, says_it_itself
from gotunnel.i18n.language import language
from tests.pages import DOCS
from tests.test_docs import generator
from tests.texts import log_formats

LOST = "connection to the server {server} lost: {reason}; next try in {seconds:.1f} s"
VALUES = {"server": "a:1", "reason": "connection refused", "seconds": 2.0}
SAYS = re.compile(
    r"; (?:upgrade|raise|remove|give|add|make|change|set|free|look|check|move)|"
    r": (?:remove|make|look|give|write|compare) |"
    r"both files must|to allow it|goes into its exempt|\{advice\}"
)
"""How lines begin to say themselves what to do."""


class TableTests(SynchronousTestCase):
    """gotunnel/i18n/hints.txt against the source."""

    def test_generated(self) -> None:
        """It is what docs/cures.yaml says."""
        self.assertEqual(FILE.read_text("utf-8"), generator().hints(), "run .venv/bin/python docs/generate.py")

    def test_each_line(self) -> None:
        """Each warning and each error says it itself, or has it said behind it: short, in both languages, without the
        links and the references of the page."""
        told = yaml.safe_load((DOCS / "cures.yaml").read_text("utf-8"))
        said = [entry for entry in log_formats().values() if entry.level in ("warn", "error")]
        for entry in said:
            hints = [hint_of({"log_format": entry.text}, name) for name in ("en", "zh")]
            if not any(hints):
                self.assertTrue(says_it_itself(entry.text) or SAYS.search(entry.text), entry.text)
                self.assertTrue(told[code_of(entry.text)], entry.text)
                continue
            self.assertLess(len(hints[0]), 140, entry.text)
            self.assertRegex(hints[1], "[\u4e00-\u9fff]", entry.text)
            for hint in hints:
                self.assertNotRegex(hint, r"\]\(|as for \d|同 \d|照它|as it says|^\s*$", entry.text)
        self.assertLess(len(load_hints()) - 1, len(said))
        self.assertIn("report it", load_hints()[BUG]["en"])


class LineTests(SynchronousTestCase):
    """Lines of the log."""

    def setUp(self) -> None:
        self.stream = StringIO()
        self.addCleanup(set_log_language, "en")

    def log(self, observer: ILogObserver) -> logs.Logger:
        """Return what logs to an observer."""
        self.patch(logs, "globalLogPublisher", LogPublisher(observer))
        return logs.Logger("gotunnel.test")

    def test_text(self) -> None:
        """It stands at the end, in the language of the log; a line that is no warning has none, nor has one that says
        it itself."""
        log = self.log(text_lines(self.stream))
        log.warn(LOST, **VALUES)
        set_log_language("zh")
        log.warn(LOST, **VALUES)
        log.warn("forward {forward} was refused by the server: {target}: {cure}", forward="f", target="t", cure="c")
        log.info("client {client} joins from {address}", client="c", address="a")
        said = [line.partition(" ")[2] for line in self.stream.getvalue().splitlines()]
        self.assertEqual(said, [
            "[warn][1119] connection to the server a:1 lost: connection refused; next try in 2.0 s; what to do: "
            "nothing, if it reconnects soon; otherwise run `gotunnel doctor`, which tests each step of the way",
            "[warn][1119] 与服务端 a:1 的连接断开：连接被拒绝；2.0 秒后重试；怎么办：很快重新连上就不必管；否则运行 "
            "`gotunnel doctor` 逐步检查",
            "[warn][1107] 正向转发 f 被服务端拒绝：t：c",
            "[info] 客户端 c 正从 a 加入",
        ])  # fmt: skip

    def test_json(self) -> None:
        """JSON has it in a field of its own, in English, and the message as it was; what a line brings itself stays."""
        set_log_language("zh")
        log = self.log(json_lines(self.stream))
        log.warn(LOST, **VALUES)
        log.error("the server {server} does not let this client in: {reason}{hint}; next try in {seconds:.1f} s",
                  hint=" (why)", **VALUES)  # fmt: skip
        log.info("client stopped")
        lost, refused, stopped = (json.loads(line) for line in self.stream.getvalue().splitlines())
        self.assertEqual(lost["message"], "connection to the server a:1 lost: connection refused; next try in 2.0 s")
        self.assertTrue(lost["hint"].startswith("nothing, if it reconnects soon"), lost["hint"])
        self.assertEqual((refused["hint"], "hint" in stopped), (" (why)", False))

    def test_events(self) -> None:
        """The latest events have it too, and can be put into either language later."""
        events: Any = Events()
        self.log(events).warn(LOST, **VALUES)
        (text,) = (event.text for event in events.latest)
        self.assertTrue(text.endswith("; what to do: " + hint_of({"log_format": LOST})), text)
        self.assertTrue(language("zh").sentence(text).endswith("；怎么办：" + hint_of({"log_format": LOST}, "zh")))
