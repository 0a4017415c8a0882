"""`--help` of all commands and roles: in Chinese where that is the language, and else in English, as click and Twisted
make it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from copy import copy

import click
from rich.cells import cell_len
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from gotunnel.cli.roles import client_options, server_options
from tests.cli.runner import Runner
from tests.helptexts import contexts, help_texts
from tests.processes import ProcessTestCase

CHINESE = re.compile("[\u4e00-\u9fff]")
SENTENCE = re.compile(r"(?<![\w./:=-])[A-Za-z]{2,}[,;:.]? [a-z]{2,}(?![\w./:=-])")
"""Two words of English, one after the other."""
TWISTD = "from twisted.scripts.twistd import run; run()"
ROW = re.compile(r"(?:  |      (?=--))(-\S.*?|\S+)(?:  +(.*))?")
"""A row of a table: what is described, and the first line of what is said of it."""


def helped(language: str, *words: str) -> str:
    """Return what `gotunnel WORDS --help` prints; a Runner makes it 80 columns wide."""
    done = Runner().invoke(main, [*words, "--help"], env={"GOTUNNEL_LANG": language}, prog_name="gotunnel")
    assert done.exit_code == 0, done.output
    return done.output


def commands() -> Iterator[tuple[list[str], click.Context]]:
    """Yield the words of each command, and a context for it."""
    for context in contexts():
        yield context.command_path.split()[1:], context


class HelpTestCase(SynchronousTestCase):
    """Looks at pages."""

    def assert_chinese(self, page: str, width: int) -> None:
        """See to it that a page says nothing in English but names, that no line of it is too wide or begins with what
        closes, and that its descriptions stand below each other."""
        usage_line, *lines = page.splitlines()
        self.assertTrue(usage_line.startswith("用法："), usage_line)
        text = re.sub(r"`[^`]*`", "", " ".join(lines))
        self.assertIsNone(SENTENCE.search(text), page)
        self.assertNotIn("OPTIONS", page)
        for line in page.splitlines():
            self.assertLessEqual(cell_len(line), width, page)
            self.assertNotIn(line.strip()[:1] or "-", "，。；：、）,.;:)]", page)
        self.assert_aligned(page)

    def assert_aligned(self, page: str) -> None:
        """See to it that all descriptions of a table begin in one column, and are Chinese."""
        for section in page.split("\n\n"):
            head, *rows = section.splitlines()
            head, rows = (head, rows) if head.endswith("：") else (rows[0], rows[1:]) if rows else ("", [])
            if head not in ("选项：", "命令："):
                continue
            begins: set[int] = set()
            for row in rows:
                found = ROW.fullmatch(row)
                if found is None:  # it goes on, or stands below a long term
                    begins.add(len(row) - len(row.lstrip()))
                elif found[2] is not None:
                    begins.add(cell_len(row) - cell_len(found[2]))
                    self.assertRegex(found[2], CHINESE)
            self.assertEqual(len(begins), 1, page)


class CommandTests(HelpTestCase):
    """`gotunnel` and its commands."""

    def test_chinese(self) -> None:
        """All of it is Chinese, on terminals of several widths; click's own words, too."""
        for words, context in commands():
            page = helped("zh", *words)
            self.assert_chinese(page, 80)
            self.assertIn("显示这段帮助并退出。", page)
            for columns, width in ((80, 78), (72, 70), (200, 78)):
                self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": "zh", "COLUMNS": str(columns)})
                self.assert_chinese(context.command.get_help(context), width)
        self.assertIn("用法：gotunnel [选项] 命令 [参数]...", helped("zh"))
        self.assertIn("[默认：5.0；0.1<=x<=300]", helped("zh", "doctor"))
        self.assertRegex(helped("zh", "join"), r"--name TEXT +这个客户端的名字，服务端认识它。 \[必填\]")

    def test_whole(self) -> None:
        """Every option is on its page, and every command on that of its group, with all that is said of it."""
        for words, context in commands():
            page = helped("zh", *words)
            for param in context.command.get_params(context):
                record = param.get_help_record(context) if isinstance(param, click.Option) else None
                if record is not None:
                    self.assertIn(f"  {record[0]}", page)
            for name in getattr(context.command, "commands", ()):
                self.assertRegex(page, rf"\n  {name} +\S")

    def test_english(self) -> None:
        """In English it is what click makes of the same texts."""
        for words, context in commands():
            plain = copy(context.command)
            plain.__class__ = click.Group if isinstance(plain, click.Group) else click.Command
            for columns in (80, 60):
                self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": "en", "COLUMNS": str(columns)})
                self.assertEqual(context.command.get_help(context), plain.get_help(context))
            context.terminal_width = 80
            self.assertEqual(helped("en", *words), plain.get_help(context) + "\n")

    def test_without_command(self) -> None:
        """So is the page that a group shows when it is called without a command."""
        for words in ((), ("client",), ("mapping",)):
            done = Runner().invoke(main, words, env={"GOTUNNEL_LANG": "zh"}, prog_name="gotunnel")
            self.assertEqual(done.output, helped("zh", *words))

    def test_narrow(self) -> None:
        """Where the arguments have no room beside the name of a command, they stand below it."""
        for _, context in commands():
            context.info_name = "x" * 45
            context.max_content_width = context.terminal_width = 50
            self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": "zh"})
            lines = context.command.get_help(context).splitlines()
            self.assertTrue(lines[1].startswith("    [选项]"), lines)


class RoleTests(HelpTestCase):
    """`gotunnel-server` and `gotunnel-client`."""

    def test_chinese(self) -> None:
        """All of it is Chinese."""
        for options in (server_options(), client_options()):
            for columns in (80, 60):
                self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": "zh", "COLUMNS": str(columns)})
                page = str(options)
                self.assert_chinese(page, columns)
            self.assertIn("--log-format=  text 或 json，不论 log_format 怎么写。", page)
            self.assertIn("[默认：config.yaml]", page)
            self.assertRegex(page.splitlines()[-1], CHINESE)

    def test_english(self) -> None:
        """In English it is what Twisted makes of the same texts."""
        self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": "en"})
        for options in (server_options(), client_options()):
            self.assertEqual(str(options), usage.Options.__str__(options))


    def test_odd_width(self) -> None:
        """A terminal of a few columns, or a COLUMNS that is no number, costs the layout and not the page."""
        for language in ("en", "zh"):
            for columns, wide in (("", 80), ("wide", 80), ("0", 40), ("12", 40), ("-5", 40), ("9" * 5000, 80)):
                self.patch(os, "environ", {**os.environ, "GOTUNNEL_LANG": language, "COLUMNS": columns})
                page = str(server_options())
                self.patch(os, "environ", {**os.environ, "COLUMNS": str(wide)})
                self.assertEqual(page, str(server_options()), (language, columns))
                widest = max(map(cell_len, page.splitlines()))
                self.assertTrue(language == "zh" or (widest > 60) is (wide > 60), page)


class RunnerTests(ProcessTestCase):
    """The pages of `twistd` and of processes."""

    def test_twistd(self) -> None:
        """What `twistd` shows of our roles is Chinese, and in English it is as ever."""
        for role in ("server", "client"):
            script = f"import sys; sys.argv = ['twistd', 'gotunnel-{role}', '--help']; {TWISTD}"
            for language, first in (
                ("zh", f"用法：twistd [选项] gotunnel-{role} [选项]"),
                ("en", f"Usage: twistd [options] gotunnel-{role} [options]"),
            ):
                code, out, err = self.run_python("-c", script, GOTUNNEL_LANG=language, COLUMNS="80")
                self.assertEqual((code, err, out.splitlines()[0]), (0, "", first))
                self.assertEqual("配置文件。 [默认：config.yaml]" in out, language == "zh")

    def test_loaded(self) -> None:
        """What lays pages out is loaded for a page in Chinese, and for nothing else."""
        script = (
            "import atexit, sys; atexit.register(lambda: print([name for name in sys.modules if 'help' in name"
            " and name.startswith('gotunnel') or name == 'gotunnel.i18n.columns']));"
            "from gotunnel.cli.{0} import {1}; {1}({2}['--help'])"
        )
        for place in (("roles", "server", ""), ("roles", "client", ""), ("main", "main", "args=")):
            for language, expected in (("en", 0), ("zh", 2)):
                code, out, err = self.run_python("-c", script.format(*place), GOTUNNEL_LANG=language)
                self.assertEqual((code, err, out.splitlines()[-1].count("'gotunnel.")), (0, "", expected), out)


class TextTests(SynchronousTestCase):
    """What `make messages` looks through."""

    def test_found(self) -> None:
        """It finds the texts of commands at all depths, of options, of click and of roles."""
        found = set(help_texts())
        for text in (
            "Print the versions to name in a bug report.", "Accept visitors for mapping NAME again.",
            "Exit code 1 if one of them is broken.", "Ports that it may publish (default: server.allow_ports).",
            "Show this message and exit.", "COMMAND [ARGS]...", "The configuration file.",
            "text or json, whatever log_format says.", "Publish ports of this machine on a gotunnel server.",
        ):  # fmt: skip
            self.assertIn(text, found)
        (command,) = (context.command for words, context in commands() if words == ["mapping", "off"])
        self.patch(command, "params", [*command.params, click.Option(["--new"], help="What nobody has said yet.")])
        self.assertEqual(set(help_texts()) - found, {"What nobody has said yet."})
