"""Which language is meant, and what errors and events look like in it."""

from __future__ import annotations

import os
import sys
from io import BytesIO, StringIO, TextIOWrapper

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import ConfigError, GotunnelError, Problem
from gotunnel.i18n.errors import error_text
from gotunnel.i18n.events import log_language, set_log_language, text_of
from gotunnel.i18n.language import ENGLISH, language, of_environment


class ChoiceTests(SynchronousTestCase):
    """The environment chooses for commands."""

    def test_environment(self) -> None:
        """GOTUNNEL_LANG, then the first of LC_ALL, LC_MESSAGES and LANG that is set; English for all others."""
        for env, name in [
            ({}, "en"),
            ({"LANG": "zh_CN.UTF-8"}, "zh"),
            ({"LANG": "zh_TW"}, "zh"),
            ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, "en"),
            ({"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "C"}, "zh"),
            ({"LC_ALL": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, "zh"),
            ({"GOTUNNEL_LANG": "en", "LC_ALL": "zh_CN.UTF-8"}, "en"),
            ({"GOTUNNEL_LANG": "ZH", "LANG": "C"}, "zh"),
            ({"GOTUNNEL_LANG": "fr", "LANG": "zh_CN"}, "en"),
            ({"GOTUNNEL_LANG": "", "LANG": "de_DE.UTF-8"}, "en"),
        ]:
            self.assertEqual(of_environment(env).name, name, env)

    def test_shown(self) -> None:
        """Where standard output has no characters for it, a Chinese environment gets English, and no traceback."""
        self.patch(os, "environ", {"GOTUNNEL_LANG": "zh"})
        for encoding, name in [("latin-1", "en"), ("big5", "en"), ("gb18030", "zh"), ("utf-8", "zh")]:
            self.patch(sys, "stdout", TextIOWrapper(BytesIO(), encoding=encoding))
            self.assertEqual(of_environment().name, name, encoding)
        for none in (None, StringIO()):
            self.patch(sys, "stdout", none)
            self.assertEqual(of_environment().name, "zh")

    def test_unknown(self) -> None:
        """A language that there is not is no language."""
        self.assertRaises(KeyError, language, "fr")
        self.assertRaises(KeyError, set_log_language, "")


class ErrorTests(SynchronousTestCase):
    """Errors in both languages."""

    def test_problems(self) -> None:
        """The place stays, what is wrong and the cure are said in Chinese."""
        error = ConfigError(
            [
                Problem("a: b.yaml", 3, "server.addr", "is empty", "try again"),
                Problem("x", None, "", "is a directory", ""),
            ]
        )
        self.assertEqual(error_text(error, ENGLISH), str(error))
        self.assertEqual(error_text(error, language("zh")), "a: b.yaml:3: server.addr: 为空；请重试\nx: 是目录")

    def test_others(self) -> None:
        """So are those of one line."""
        self.assertEqual(error_text(GotunnelError("it has expired"), language("zh")), "它已过期")
        self.assertEqual(error_text(OSError("what the system says"), language("zh")), "what the system says")


class EventTests(SynchronousTestCase):
    """Lines of the log."""

    EVENT = {
        "log_format": "client {client} cannot bring {count} legs: {reason}{more}", "client": "client", "count": 3,
        "reason": "no route to it", "more": " (2 more like this were not logged)",
    }  # fmt: skip

    def setUp(self) -> None:
        self.addCleanup(set_log_language, "en")

    def test_english(self) -> None:
        """English is what the format says."""
        self.assertEqual(
            text_of(self.EVENT),
            "client client cannot bring 3 legs: no route to it (2 more like this were not logged)",
        )

    def test_chinese(self) -> None:
        """The format and the words of ours are translated, names are not, and the event stays as it was."""
        before = dict(self.EVENT)
        set_log_language("zh")
        self.assertEqual(log_language().name, "zh")
        self.assertEqual(
            text_of(self.EVENT), "客户端 client 无法建立 3 条支路：没有到达它的路由（另有 2 条类似的未记录）"
        )
        self.assertEqual(self.EVENT, before)

    def test_words_of_a_peer(self) -> None:
        """A reason that is none of our sentences is shown as it came."""
        set_log_language("zh")
        text = text_of({**self.EVENT, "reason": "ni hao, operator", "more": ""})
        self.assertEqual(text, "客户端 client 无法建立 3 条支路：ni hao, operator")

    def test_unknown_format(self) -> None:
        """A line that the catalogue lacks is English."""
        set_log_language("zh")
        self.assertEqual(text_of({"log_format": "all {what}", "what": "silent"}), "all silent")
