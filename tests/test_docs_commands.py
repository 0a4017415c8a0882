"""The commands that the documentation names: each is there with each of its options, each of ours is in the README, and
a block that no test runs says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from tests.pages import READMES, ROOT, blocks, markdown, prose

RUN = {"first-steps.md", "endpoints.md"}
"""Pages whose plain `sh` blocks a test runs (tests.test_docs_steps, tests.e2e.test_library)."""

CHINESE, CURES = ROOT / "gotunnel" / "i18n" / "zh.po", ROOT / "docs" / "cures.yaml"

_START = re.compile(r"(?:^|[|;&(] *|/|sudo -u gotunnel |[a-z]+ -- |  )gotunnel ((?!server\b|gotunnel-)[a-z].*)")


def commands(text: str) -> Iterator[str]:
    """Yield what stands behind `gotunnel` in a page, in its shell blocks and in its prose."""
    for block in blocks(text):
        if block.words[:1] in [("sh",), ("text",)]:
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from _START.findall(line)
    yield from re.findall(r"`gotunnel ([a-z][^`]*)`", prose(text))


def unknown(words: str) -> str | None:
    """Return what is not there of a command as it is written, or None."""
    command: click.Command = main
    rest = words.split()
    while rest and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0].rstrip(",;"))
        if found is None:
            return rest[0]
        command, rest = found, rest[1:]
    known = {"-h", "--help"} | {
        name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in rest:
        if word[0] in "|>;&\\":
            break
        option = word.partition("=")[0].rstrip(",;")
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in known:
            return option
    return None


class CommandTests(SynchronousTestCase):
    """Of `gotunnel`."""

    def test_there(self) -> None:
        """Whoever copies one finds it, with its options."""
        count = 0
        for path in markdown():
            if path.name != "CHANGELOG.md":
                for words in commands(path.read_text("utf-8")):
                    count += 1
                    self.assertIsNone(unknown(words), f"{path.relative_to(ROOT)}: gotunnel {words}")
        self.assertGreater(count, 200)

    def test_elsewhere(self) -> None:
        """So is what our files of `etc` name, and what is said by logs, errors and hints, in both languages."""
        files = [path for path in sorted((ROOT / "etc").rglob("*")) if path.suffix in (".yml", ".yaml", ".service")]
        texts = {path.name: path.read_text("utf-8") for path in files}
        said = CHINESE.read_text("utf-8").replace('"\n"', "")
        texts |= {CHINESE.name: said, CURES.name: CURES.read_text("utf-8")}
        count = 0
        for name, text in texts.items():
            named = re.findall(r"`gotunnel ([a-z][^`]*)`", text)
            named += re.findall(r"(?<![`/\w.-])gotunnel ((?:client|mapping) [a-z]+)", text)
            for words in named:
                if words != "client on":  # "a gotunnel client on every node"
                    count += 1
                    self.assertIsNone(unknown(words), f"{name}: gotunnel {words}")
        self.assertGreater(count, 20)

    def test_finds_others(self) -> None:
        """The search sees a command and an option that are not there."""
        text = "```sh\nsudo -u gotunnel gotunnel check x --strict\n```\n`gotunnel client show`, `gotunnel pin -h`\n"
        self.assertEqual([unknown(words) for words in commands(text)], ["--strict", "show", None])

    def test_readme(self) -> None:
        """The table of the README has each of them, in both languages."""
        for path in READMES.values():
            table = "\n".join(re.findall(r"^\|.*\|$", path.read_text("utf-8"), re.MULTILINE))
            told = {word for code in re.findall(r"`([^`]+)`", table) for word in code.split()}
            self.assertEqual(set(main.commands) - told, set(), path.name)

    def test_run_or_not(self) -> None:
        """A block of shell that no test runs is marked `norun`, so that nobody takes it for one that is."""
        for path in markdown():
            if path.name not in RUN:
                plain = [block.text for block in blocks(path.read_text("utf-8")) if block.words == ("sh",)]
                self.assertEqual(plain, [], path.relative_to(ROOT))


class FileTests(SynchronousTestCase):
    """Of the project's own files."""

    def test_there(self) -> None:
        """What a page names of our source and tests is in the tree."""
        for path in markdown():
            named = set(re.findall(r"`((?:gotunnel|tests|docs|etc|twisted)/[\w./*@+-]+)`", path.read_text("utf-8")))
            named.discard("gotunnel/plugins/acme.py")  # which is a reader's own
            self.assertEqual([name for name in sorted(named) if not list(ROOT.glob(name))], [], path.relative_to(ROOT))
