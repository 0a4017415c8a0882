"""Translates the one line of a reload that is joined from words, "mappings: +2 added, web unchanged with 1 stream
kept", which `config.changes` makes. As patterns for sentences its parts would match too much, so this module parses
it."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["list_said"]

_LINE = re.compile(r"(mappings|forwards|clients): (.+)", re.DOTALL)
_PART = re.compile(
    r"\+?(?P<names>.+?) (?P<what>added|unchanged|changed|opened anew|removed)"
    r"(?: with (?P<kept>\d+) streams? kept|, draining (?P<draining>\d+))?(?:, |$)",
    re.DOTALL,
)


def list_said(text: str, word: Callable[[str], str]) -> str | None:
    """Return the line, translated with `word`; None if it is no such line."""
    line = _LINE.fullmatch(text)
    if line is None:
        return None
    parts, place = [], 0
    while place < len(line[2]):
        part = _PART.match(line[2], place)
        if part is None:
            return None
        place = part.end()
        said = f"{word(part['what'])} {part['names']}"
        for key in ("kept", "draining"):
            if part[key] is not None:
                said += f"（{word(key)} {part[key]}）"
        parts.append(said)
    return f"{word(line[1])}：{'，'.join(parts)}"
