"""What commands and roles say of mistakes, in the language of the environment."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from tests.cli.runner import Runner


class CommandTests(SynchronousTestCase):
    """The `gotunnel` command."""

    def run_command(self, language: str, *words: str) -> tuple[int, str]:
        done = Runner().invoke(main, words, env={"GOTUNNEL_LANG": language})
        return done.exit_code, done.output

    def test_command_line(self) -> None:
        """A mistake on the command line that the program itself finds."""
        words = ("join", "a:1", "--name", "x", "--renew", "--force")
        for language, said in (
            ("zh", "错误：--renew 保留的正是 --force 要替换的"),
            ("en", "Error: --renew cannot be combined with --force: it keeps the file that --force replaces"),
        ):
            code, text = self.run_command(language, *words)
            self.assertEqual((code, text.splitlines()[-1]), (2, said))

    def test_of_click(self) -> None:
        """One that click finds is said in that language too, and keeps its exit code."""
        for language, said in (("zh", "没有选项 '?--nothing'?"), ("en", "No such option")):
            code, text = self.run_command(language, "check", "--nothing")
            self.assertEqual(code, 2)
            self.assertRegex(text, said)

    def test_configuration(self) -> None:
        """All mistakes of a file, a line each, in either language."""
        file = Path(self.mktemp())
        file.write_text("server:\n  addr: x\n  log_lang: klingon\n  token: short\n  heartbeat: soon\n")
        for language, expected in [
            ("en", ["only an IP address can be bound", "is shorter than", "is not a number of seconds", "write one"]),
            ("zh", ["只有 IP 地址可以监听", "请写其中一个词", "短于", "不是秒数"]),
        ]:
            code, text = self.run_command(language, "check", str(file))
            lines = [line for line in text.splitlines() if line.startswith(f"{file}:")]
            self.assertEqual((code, len(lines)), (2, 4), text)
            for part in expected:
                self.assertIn(part, text)
