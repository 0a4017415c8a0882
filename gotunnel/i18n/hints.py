"""What to do about a warning or an error in the log, for lines that do not say it themselves. The texts are in
docs/cures.yaml, which is also the source of the page of errors; docs/generate.py writes `hints.txt` from it."""

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
"""The number in that file for all bugs of ours."""
WITH_HINT = "{said}; what to do: {hint}"
"""The form of a line with a hint."""
_OWN = {"hint", "cure"}
"""Fields with which a line brings its own hint, because that depends on the reason."""


@lru_cache
def load_hints() -> dict[int, dict[str, str]]:
    """Return the hints by the number of the line and by language; the file is read once."""
    lines = (line.split("\t") for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#"))
    return {int(number): {"en": english, "zh": chinese} for number, english, chinese in lines}


@lru_cache(maxsize=512)
def says_it_itself(format: str) -> bool:
    """Return whether a line has a field of its own for what to do."""
    return any(name in _OWN for _, name, *_ in Formatter().parse(format))


def hint_of(event: Mapping[str, Any], language: str = "en") -> str:
    """Return what to do about a warning, an error or a bug of ours; "" if the line says it itself. Raises KeyError for
    an event that is not ours."""
    format = event["log_format"]
    if "log_failure" in event:
        return load_hints()[BUG][language]
    code = code_of(format)
    known = None if code is None or says_it_itself(format) else load_hints().get(code)
    return "" if known is None else known[language]
