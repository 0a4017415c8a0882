"""Writes the table of all configuration keys into `configuration.md`, and the tables of errors into `errors.md`, of
both languages: `python docs/generate.py`.

The rows of keys come from `gotunnel.config.reference`; their Chinese words from `docs/zh/reference.yaml`, by the
English ones. Those of errors come from the source, and their Chinese from the catalogue of `gotunnel.i18n`; what to do
about a line of the log from `docs/cures.yaml`, and from there it is written into `gotunnel/i18n/hints.txt`, too.
It writes nothing else, and a test fails when what stands in the files is not what this would write.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the source is read by what the tests read it with

from gotunnel.config.reference import table
from gotunnel.i18n.codes import FILE, numbers
from gotunnel.i18n.hints import BUG, says_it_itself
from gotunnel.i18n.hints import FILE as HINTS
from gotunnel.i18n.language import language as language_of
from gotunnel.i18n.sentences import plain
from tests.cures import problems
from tests.texts import log_formats

__all__ = [
    "BEGIN", "CATALOGUE", "END", "LANGUAGES", "MissingWords", "catalogue", "errors_replaced", "hints", "reference",
    "replaced",
]  # fmt: skip

DOCS = Path(__file__).resolve().parent
LANGUAGES = ("en", "zh")
CATALOGUE = DOCS / "zh" / "reference.yaml"
CURES = DOCS / "cures.yaml"
REPORT = ["report it", "请报告"]
BUG_HINT = ["this is a bug in gotunnel: report it with these lines", "这是 gotunnel 的缺陷：请附上这几行报告"]
BEGIN = "<!-- reference: made by docs/generate.py, not by hand -->"
END = "<!-- end of the reference -->"
LOG_BEGIN = "<!-- log lines: made by docs/generate.py, not by hand -->"
LOG_END = "<!-- end of the log lines -->"
REFUSED_BEGIN = "<!-- refusals: made by docs/generate.py, not by hand -->"
REFUSED_END = "<!-- end of the refusals -->"

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
    return _between(text, BEGIN, END, reference(language))


def log_lines(language: str) -> list[str]:
    """Return the table of all warnings and errors of the log. Raises MissingWords."""
    number, say = numbers(FILE.read_text("utf-8")), language_of(language).format
    cures: dict[int, list[str]] = yaml.safe_load(CURES.read_text("utf-8"))
    place = LANGUAGES.index(language)
    heads = {"en": ["number", "level", "text", "what to do"], "zh": ["编号", "级别", "原文", "中文", "怎么办"]}
    rows, lacking = _head(heads[language]), []
    for format, entry in sorted(log_formats().items(), key=lambda item: number[item[0]]):
        if entry.level in ("warn", "error", "critical"):
            cells = [f"`{number[format]}`", entry.level, f"`{format}`"]
            cure = REPORT if entry.level == "critical" else cures.get(int(number[format]))
            if cure is None:
                lacking.append(f"{number[format]}: {format}")
                continue
            rows.append(_row([*cells, *([_prose(say(format))] if language == "zh" else []), cure[place]]))
    if lacking:
        raise MissingWords("docs/cures.yaml does not say what to do about\n" + "\n".join(lacking))
    return rows


def hints() -> str:
    """Return what belongs into `gotunnel/i18n/hints.txt`: number, English and Chinese, tabs between them, of each line
    that does not say itself what to do."""
    cures: dict[int, list[str]] = yaml.safe_load(CURES.read_text("utf-8"))
    lines = ["# What to do about lines of the log: made by docs/generate.py from docs/cures.yaml, not by hand."]
    lines.append("\t".join([str(BUG), *BUG_HINT]))
    themselves = {number for format, number in numbers(FILE.read_text("utf-8")).items() if says_it_itself(format)}
    lines += (
        "\t".join([str(number), *(_hint(cures, number, place) for place in range(2))])
        for number in sorted(cures)
        if number not in themselves and not cures[number][0].startswith("as it says")
    )
    return "\n".join(lines) + "\n"


def _hint(cures: dict[int, list[str]], number: int, place: int) -> str:
    """Return a cure without links of a page, and with the words that it refers to in their place."""
    words = re.sub(r"(?: \(|（)?\[(?:code|代码)\]\([^)]*\)(?:\)|）)", "", cures[number][place])
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", words)
    return re.sub(r"(?:as for|同) (\d+)", lambda found: _hint(cures, int(found[1]), place), words)


def refusals(language: str) -> list[str]:
    """Return the table of what a configuration or a command line is refused for."""
    say = language_of(language).format
    rows = _head({"en": ["message", "correction"], "zh": ["原文", "含义", "怎样改正"]}[language])
    for what, cure in problems():
        cells = [f"`{plain(what)}`", _prose(plain(say(cure))) if cure else ""]
        rows.append(_row(cells if language == "en" else [cells[0], _prose(plain(say(what))), cells[1]]))
    return rows


def errors_replaced(text: str, language: str) -> str:
    """Return the page of errors with its two tables made anew. Raises ValueError for a page without markers."""
    text = _between(text, LOG_BEGIN, LOG_END, log_lines(language))
    return _between(text, REFUSED_BEGIN, REFUSED_END, refusals(language))


def _between(text: str, begin: str, end: str, lines: list[str]) -> str:
    head, found, rest = text.partition(begin)
    _, last, tail = rest.partition(end)
    if not found or not last:
        raise ValueError(f"the page has no {begin} or no {end}")
    return head + "\n".join([begin, "", *lines, "", end]) + tail


def _head(cells: list[str]) -> list[str]:
    return [_row(cells), "|" + "---|" * len(cells)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _prose(text: str) -> str:
    """Return a text for a cell beside others: no code, so that the cells of both languages name the same."""
    return text.replace("`", "").replace("<", "&lt;").replace("*", "\\*")


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
    for name, made in (("configuration.md", replaced), ("errors.md", errors_replaced)):
        for language in LANGUAGES:
            page = DOCS / language / name
            try:
                page.write_text(made(page.read_text("utf-8"), language), "utf-8")
            except (MissingWords, ValueError) as problem:
                sys.stderr.write(f"{page.name} ({language}): {problem}\n")
                return 1
    HINTS.write_text(hints(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
