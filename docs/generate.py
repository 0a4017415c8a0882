"""Writes the table of all configuration keys into `configuration.md` of both languages: `python docs/generate.py`.

The rows come from `gotunnel.config.reference`; their Chinese words from `docs/zh/reference.yaml`, by the English ones.
It writes nothing else, and a test fails when what stands in the files is not what this would write.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from gotunnel.config.reference import table

__all__ = ["BEGIN", "CATALOGUE", "END", "LANGUAGES", "MissingWords", "catalogue", "reference", "replaced"]

DOCS = Path(__file__).resolve().parent
LANGUAGES = ("en", "zh")
CATALOGUE = DOCS / "zh" / "reference.yaml"
BEGIN = "<!-- reference: made by docs/generate.py, not by hand -->"
END = "<!-- end of the reference -->"

_CELL = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class MissingWords(Exception):
    """The catalogue lacks a translation; the text names every key that lacks one, and its English words."""


def catalogue() -> dict[str, str]:
    """Return the Chinese words by the English ones."""
    words: dict[str, str] = yaml.safe_load(CATALOGUE.read_text("utf-8"))
    return words


def reference(language: str) -> list[str]:
    """Return the table in one of LANGUAGES. Raises MissingWords."""
    rows = table()
    if language == "en":
        return rows
    words, missing = catalogue(), []
    translated: list[str] = []
    for row in rows:
        cells = [cell.strip() for cell in _CELL.split(row)[1:-1]]
        if set(row) <= set("|-"):
            translated.append(row)
            continue
        found = [_translated(cell, words) for cell in cells]
        missing += [f"{cells[0]}: {cell}" for cell, text in zip(cells, found, strict=True) if text is None]
        translated.append("| " + " | ".join(text or "" for text in found) + " |")
    if missing:
        raise MissingWords("no Chinese words in docs/zh/reference.yaml for\n" + "\n".join(missing))
    return translated


def replaced(text: str, language: str) -> str:
    """Return a page with the table between its markers made anew. Raises ValueError for a page without markers."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no markers for the reference")
    return head + "\n".join([BEGIN, "", *reference(language), "", END]) + tail


def _translated(cell: str, words: dict[str, str]) -> str | None:
    """Return a cell in Chinese, None if the catalogue lacks it. Code stays; numbers may change freely."""
    plain = cell.replace("\\|", "|")
    if not plain or re.fullmatch(r"`[^`]*`", plain):
        return cell
    if plain in words:
        return words[plain].replace("|", "\\|")
    pattern = words.get(_NUMBER.sub("#", plain))
    if pattern is None:
        return None
    numbers = iter(_NUMBER.findall(plain))
    return re.sub("#", lambda _: next(numbers), pattern)


def main() -> int:
    """Rewrite both pages. Returns the exit code."""
    for language in LANGUAGES:
        page = DOCS / language / "configuration.md"
        try:
            page.write_text(replaced(page.read_text("utf-8"), language), "utf-8")
        except (MissingWords, ValueError) as problem:
            sys.stderr.write(f"{page.name} ({language}): {problem}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
