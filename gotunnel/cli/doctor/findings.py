"""What a check has found, as a line for a person or an object for a program. Examines nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from gotunnel.errors import printable

__all__ = ["Finding", "Status", "as_json", "failed", "note", "ok", "problem", "warning"]

Status = Literal["ok", "note", "warning", "problem"]
"""`note` is what was not examined, and why."""

LONGEST = 2000
"""Characters of a message."""
LONGEST_CURE = 8000
"""The same of a cure: a command with a part cut off would be another one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `check` names the question, `cure` is empty where nothing is to be done."""

    check: str
    status: Status
    message: str
    cure: str = ""

    def __str__(self) -> str:
        said = f"{self.status:<8}{self.check}: {self.message}"
        return f"{said}; {self.cure}" if self.cure else said


def ok(check: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(printable(check), "ok", printable(message, LONGEST))


def note(check: str, message: str) -> Finding:
    """Return that something was not examined."""
    return Finding(printable(check), "note", printable(message, LONGEST))


def warning(check: str, message: str, cure: str) -> Finding:
    """Return what works and may not do so for long, or not for everybody."""
    return Finding(printable(check), "warning", printable(message, LONGEST), printable(cure, LONGEST_CURE))


def problem(check: str, message: str, cure: str) -> Finding:
    """Return what does not work."""
    return Finding(printable(check), "problem", printable(message, LONGEST), printable(cure, LONGEST_CURE))


def failed(findings: Iterable[Finding]) -> bool:
    """Say whether there is a problem among them."""
    return any(finding.status == "problem" for finding in findings)


def as_json(findings: Iterable[Finding]) -> str:
    """Return them as an array of objects with the keys check, status, message and cure."""
    return json.dumps([asdict(finding) for finding in findings], indent=1)
