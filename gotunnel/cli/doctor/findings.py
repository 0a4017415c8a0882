"""The result of a check, as a line for a user in a language, or as an object for a program. Examines nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from rich.cells import cell_len

from gotunnel.errors import Sentence, printable
from gotunnel.i18n.language import ENGLISH, Language

__all__ = ["CHECKS", "STATES", "Finding", "Status", "as_json", "failed", "note", "ok", "problem", "subject", "warning"]

Status = Literal["ok", "note", "warning", "problem"]
"""`note` means that something was not examined, and why."""

STATES = ("ok", "note", "warning", "problem")
"""The words of a Status."""
CHECKS = (
    "certificate", "clients", "clock", "connect", "leg", "login", "port", "relay", "resolve", "round trip",
    "throughput", "transport",
)  # fmt: skip
"""The checks that are not about something with a name. `subject` makes the names of the others."""
_WIDTH = 8
"""Cells of the column of states."""

LONGEST = 2000
"""The largest number of characters of a message."""
LONGEST_CURE = 8000
"""The largest number of characters of a cure: a command that is cut off would be a different command."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `check` names the question; `cure` is empty if there is nothing to do."""

    check: str
    status: Status
    message: str
    cure: str = ""

    def __str__(self) -> str:
        return self.said(ENGLISH)

    def said(self, language: Language) -> str:
        """Return the line, in a language."""
        check = self.check if isinstance(self.check, Sentence) else Sentence.word(self.check)
        what = Sentence.joined("; ", (self.message, self.cure))
        state = language.sentence(self.status)
        return f"{state}{' ' * (_WIDTH - cell_len(state))}{language.sentence(Sentence.joined(': ', (check, what)))}"


def subject(what: str, name: object) -> Sentence:
    """Return the name of a check about something that has a name: "mapping web"."""
    return Sentence("{what} {name}", what=Sentence.word(what), name=printable(name))


def ok(check: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(printable(check), "ok", printable(message, LONGEST))


def note(check: str, message: str) -> Finding:
    """Return that something was not examined."""
    return Finding(printable(check), "note", printable(message, LONGEST))


def warning(check: str, message: str, cure: str) -> Finding:
    """Return that something works, but perhaps not for long or not for everybody."""
    return Finding(printable(check), "warning", printable(message, LONGEST), printable(cure, LONGEST_CURE))


def problem(check: str, message: str, cure: str) -> Finding:
    """Return that something does not work."""
    return Finding(printable(check), "problem", printable(message, LONGEST), printable(cure, LONGEST_CURE))


def failed(findings: Iterable[Finding]) -> bool:
    """Return whether one of them is a problem."""
    return any(finding.status == "problem" for finding in findings)


def as_json(findings: Iterable[Finding]) -> str:
    """Return them as an array of objects with the keys check, status, message and cure."""
    return json.dumps([asdict(finding) for finding in findings], indent=1)
