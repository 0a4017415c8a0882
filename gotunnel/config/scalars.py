"""The meaning of a plain (unquoted) YAML scalar. Only spellings that every YAML reader reads alike become numbers and
booleans; the others stay text that remembers what a reader may take it for."""

from __future__ import annotations

import re

__all__ = ["Text", "bare", "read_plain", "shown"]


class Text(str):
    """A string that remembers its origin, so that messages can show what the file says.

    `meaning` is what some YAML readers take the unquoted text for ("the number 1342"), or empty. `written` is the
    spelling before `${VAR}` was expanded, or empty: the value of a variable is never shown."""

    meaning: str
    written: str

    def __new__(cls, value: str, *, meaning: str = "", written: str = "") -> Text:
        """Make one. Without `meaning` and `written` a plain str does as well."""
        self = super().__new__(cls, value)
        self.meaning = meaning
        self.written = written
        return self


class Whole(int):
    """A whole number that the file spells in another way than Python would, such as +5."""

    written: str

    def __str__(self) -> str:
        return self.written


class Fraction(float):
    """The same for a number with a fraction, such as 1.10."""

    written: str

    def __str__(self) -> str:
        return self.written


def shown(value: object, limit: int = 60) -> str:
    """Return a value as messages show it: as spelled in the file, on one line, shortened to `limit`."""
    if value is True or value is False:
        return "true" if value else "false"
    text = getattr(value, "written", "") or str(value)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return repr(text) if isinstance(value, str) else text


def bare(value: object) -> str:
    """Return the same as `shown`, without quotes around text."""
    text = shown(value)
    return text[1:-1] if isinstance(value, str) else text


_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_YES = frozenset({"y", "yes", "on"})
_NO = frozenset({"n", "no", "off"})

# YAML 1.1 (https://yaml.org/type/int.html, float.html) and YAML 1.2 (chapter 10) disagree about all of these.
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_OTHER_NUMBERS = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\.(inf|Inf|INF)|[0-9][0-9_]*"
    r"|([0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)([eE][-+]?[0-9]+)?)|\.(nan|NaN|NAN)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?([Tt ].*)?")


def read_plain(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar: None, a bool, a number, or text (a `Text` where readers disagree)."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return _spelled(int(text), Whole, text)
    if _FLOAT.fullmatch(text):
        return _spelled(float(text), Fraction, text)
    meaning = _disputed(text)
    return Text(text, meaning=meaning) if meaning else text


def _spelled(number: int | float, kind: type[Whole] | type[Fraction], text: str) -> int | float:
    """Return a number that remembers its spelling, if Python has another one for it."""
    if str(number) == text:
        return number
    made = kind(number)
    made.written = text
    return made


def _disputed(text: str) -> str:
    if text.lower() in _YES:
        return "true"
    if text.lower() in _NO:
        return "false"
    if _SEXAGESIMAL.fullmatch(text):
        return f"the number {_base_60(text)}" if "." not in text and len(text) <= 20 else "a number"
    if _OCTAL.fullmatch(text) and len(text) <= 20:
        return f"the number {int(text.replace('_', ''), 8)}"
    if _OTHER_NUMBERS.fullmatch(text) and any(c.isalnum() for c in text):
        return "a number"
    return "a date" if _DATE.fullmatch(text) else ""


def _base_60(text: str) -> int:
    value = 0
    for part in text.lstrip("+-").replace("_", "").split(":"):
        value = value * 60 + int(part)
    return -value if text.startswith("-") else value
