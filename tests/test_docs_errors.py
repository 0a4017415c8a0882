"""Keeps the page of errors complete: every number of the log, every refusal, every code that travels."""

from __future__ import annotations

import ast
import re

import yaml
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.i18n.codes import code_of
from gotunnel.tap.exits import BAD_USAGE, FAILED
from tests.cures import problems
from tests.pages import DOCS, LANGUAGES, ROOT
from tests.test_docs import generator
from tests.texts import log_formats

POSITIONS = {
    "AuthRejected": 0, "DialFailed": 0, "Error": 0, "PortUnavailable": 0, "RemoteProtocolError": 1, "V1Refused": 0,
}  # fmt: skip
"""Which argument of an error is its code."""


def codes() -> set[str]:
    """Return the codes that the source gives to errors."""
    found: set[str] = set()
    for path in (ROOT / "gotunnel").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in POSITIONS:
                for argument in node.args[POSITIONS[node.func.id] :][:1]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        found.add(argument.value)
    return {code for code in found if not code.isdigit()}  # those are statuses of HTTP


class ErrorPageTests(SynchronousTestCase):
    """errors.md of both languages."""

    def page(self, language: str) -> str:
        return (DOCS / language / "errors.md").read_text("utf-8")

    def test_generated(self) -> None:
        """The tables are what the source says."""
        for language in LANGUAGES:
            made = generator().errors_replaced(self.page(language), language)
            self.assertEqual(self.page(language), made, "run .venv/bin/python docs/generate.py")

    def test_log_lines(self) -> None:
        """Each warning and each error of the log is there with its number; there are many."""
        said = [entry for entry in log_formats().values() if entry.level in ("warn", "error", "critical")]
        self.assertGreater(len(said), 60)
        for language in LANGUAGES:
            page = self.page(language)
            for entry in said:
                self.assertIn(f"| `{code_of(entry.text)}` | {entry.level} | `{entry.text}` |", page)

    def test_cures(self) -> None:
        """Each of them has something to do beside it, in both languages; and nothing has that nobody says."""
        cures = yaml.safe_load((DOCS / "cures.yaml").read_text("utf-8"))
        said = {int(code_of(entry.text)) for entry in log_formats().values() if entry.level in ("warn", "error")}
        self.assertEqual(set(cures), said)
        for number, words in cures.items():
            self.assertEqual((len(words), all(len(each) > 2 for each in words)), (2, True), number)

    def test_refusals(self) -> None:
        """Mistakes in a configuration are there, nearly all of them with what would be right."""
        found = problems()
        self.assertGreater(len(found), 120)
        self.assertLess(len([what for what, cure in found if not cure]), 15)

    def test_codes(self) -> None:
        """Each code that travels is there, and no other."""
        for language in LANGUAGES:
            part = self.page(language).split("\n## ")[2]
            rows = re.findall(r"^\| ((?:`[a-z_0-9]+`[、, ]*)+) \|", part, re.MULTILINE)
            told = {word for row in rows for word in re.findall(r"`([a-z_0-9]+)`", row)}
            # These are found by what the system says, in tables, or have a name.
            named = {"unreachable", "not_allowed", "unknown_mapping", PORT_UNREACHABLE}
            self.assertEqual(sorted(told), sorted(codes() | named))

    def test_exit_codes(self) -> None:
        """So are the exit codes."""
        for language in LANGUAGES:
            part = self.page(language).split("\n## ")[1]
            self.assertEqual([code for code in (0, FAILED, BAD_USAGE) if not re.search(rf"\b{code}\b", part)], [])
