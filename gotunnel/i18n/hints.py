"""What to do about a warning or an error of the log, for those that do not say it themselves. The words stand in
docs/cures.yaml, which makes the page of errors, too; docs/generate.py writes `hints.txt` from it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any

from gotunnel.i18n.codes import code_of

__all__ = ["BUG", "FILE", "WITH_HINT", "hint_of", "load_hints", "says_it_itself"]

FILE = Path(__file__).with_name("hints.txt")
BUG = 0
"""The number, in that file, of what is to be done about a bug of ours, whichever it is."""
WITH_HINT = "{said}; what to do: {hint}"
"""How a line says it."""
_OWN = {"hint", "cure"}
"""Fields in which a line brings what to do: it depends on the reason."""


@lru_cache
def load_hints() -> dict[int, dict[str, str]]:
    """Return the words by the number of the line, and by the language; read from the file the first time."""
    lines = (line.split("\t") for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#"))
    return {int(number): {"en": english, "zh": chinese} for number, english, chinese in lines}


@lru_cache(maxsize=512)
def says_it_itself(format: str) -> bool:
    """Say whether a line has a field of its own for what to do."""
    return any(name in _OWN for _, name, *_ in Formatter().parse(format))


def hint_of(event: Mapping[str, Any], language: str = "en") -> str:
    """Return what to do about a warning, an error or a bug of ours; "" where the line says it. Raises KeyError for an
    event that is none of ours."""
    format = event["log_format"]
    if "log_failure" in event:
        return load_hints()[BUG][language]
    code = code_of(format)
    known = None if code is None or says_it_itself(format) else load_hints().get(code)
    return "" if known is None else known[language]
