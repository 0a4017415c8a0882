"""What `gotunnel pin` and `expose` say, and how a token is asked for, in Chinese."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.api import MappingOpened
from gotunnel.cli import expose, tokeninput
from gotunnel.cli.main import main
from tests.cli.runner import Runner

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"


def bare(said: str) -> str:
    """Return a sentence without its quotation marks and its full stop, which not each click has."""
    return said.translate(dict.fromkeys(map(ord, "'。")))


class Terminal(StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


class OtherTests(SynchronousTestCase):
    """Commands that say little."""

    def setUp(self) -> None:
        """Speak Chinese."""
        self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": "zh"})

    def test_pin(self) -> None:
        """The pin stands alone on standard output, and what is to be known of it is said."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        config = folder / "server.yaml"
        config.write_text(f"server:\n  token: {TOKEN}\n")
        words = ["pin", "-c", str(config), "--state", str(folder)]
        done = Runner().invoke(main, words, env={"GOTUNNEL_LANG": "zh"})
        self.assertEqual(done.exit_code, 0, done.output)
        self.assertRegex(done.stdout, "^sha256:[A-Za-z0-9+/]{43}=\n$")
        self.assertRegex(done.stderr, rf"^这是 {folder}/\S+ 中的密钥：服务端必须使用这个状态目录（--state）。\n$")

    def test_wrong(self) -> None:
        """What is wrong with a command line is said whole in Chinese, in click's words as in ours, at all depths."""
        for words, said in (
            (["--nope"], "没有选项 '--nope'。"),
            (["chek"], "没有命令 'chek'。"),
            (["client", "nope"], "没有命令 'nope'。"),
            (["check"], "缺少参数 'FILE'。"),
            (["check", "a", "b"], "多余的参数（b）"),
            (["check", "--stat"], "没有选项 '--stat'。"),
            (["check", "--state"], "选项 '--state' 需要一个值。"),
            (["join", "x"], "缺少选项 '--name'。"),
            (["doctor", "--timeout", "x"], "'--timeout' 的值无效：'x' 不是数。"),
            (["dashboard", "--port", "65536"], "'--port' 的值无效：65536 不在范围 0<=x<=65535 之内。"),
            (["log-level", "wran"], "的值无效：'wran' 不是 'debug', 'info', 'warn', 'error' 之一。"),
            (["drain", "--timeout", "nan"], "--timeout 不是秒数"),
        ):
            done = Runner().invoke(main, words)
            self.assertEqual((done.exit_code, done.stdout), (2, ""), words)
            last = done.stderr.splitlines()[-1]
            self.assertTrue(last.startswith("错误：") and bare(said) in bare(last), last)
            if len(done.stderr.splitlines()) > 1:
                command = " ".join(["main", *words[:1 if words[0] in main.commands else 0]])
                self.assertRegex(done.stderr, f"^用法：{command}.* \\[选项\\].*\n请看 '{command}.* -h'。\n\n错误：")

    def test_wrong_in_english(self) -> None:
        """There click says it itself."""
        for words in (["check"], ["--nope"], ["client"]):
            done = Runner().invoke(main, words, env={"GOTUNNEL_LANG": "en"})
            self.assertTrue(done.output.startswith("Usage: main "), done.output)

    def test_expose(self) -> None:
        """The one line about the port, whose addresses stand at its ends."""
        lines: list[str] = []
        self.patch(expose.say.__globals__["click"], "echo", lambda text, **_: lines.append(text))  # type: ignore[attr-defined]
        asking: Any = SimpleNamespace(_mapping=SimpleNamespace(local=HostPort("127.0.0.1", 80)), running=True)
        expose._Exposing._happened(asking, MappingOpened("web", HostPort("192.0.2.1", 8080)))
        self.assertEqual(lines, ["192.0.2.1:8080 通向 127.0.0.1:80。按 Ctrl-C 结束。"])

    def test_prompts(self) -> None:
        """Whoever sits at a terminal is asked for a token in Chinese."""
        asked: list[str] = []
        self.patch(tokeninput.click, "prompt", lambda text, **_: asked.append(text) or TOKEN)
        self.patch(expose.sys, "stdin", Terminal())
        self.assertEqual(tokeninput.given_token("x", {}, Terminal()), TOKEN)
        self.patch(os, "environ", {key: value for key, value in os.environ.items() if key != "GOTUNNEL_TOKEN"})
        self.assertEqual(expose.token_of_server("x"), TOKEN)
        self.assertEqual(asked, ["令牌", "服务端的令牌"])
