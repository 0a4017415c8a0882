"""The pages of the documentation as the tests read them: fenced blocks, headings, links. Tests nothing itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LANGUAGES = ("en", "zh")
PAGES = sorted(path.name for path in (DOCS / "en").glob("*.md"))
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh.md"}

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of a page: the words behind its fence, and what is in it."""

    words: tuple[str, ...]
    text: str


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [Block(tuple(match[2].split()), match[3]) for match in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def headings(text: str) -> list[tuple[int, str]]:
    """Return the headings of a page, with their levels."""
    return [(len(match[1]), match[2]) for match in re.finditer(r"^(#+) (.+)$", prose(text), re.MULTILINE)]


def anchor(heading: str) -> str:
    """Return what GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def markdown() -> list[Path]:
    """Return all Markdown files that belong to the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "etc").rglob("*.md"))]


def pairs() -> Iterator[tuple[str, str, str]]:
    """Yield each page's name with its English and its Chinese text."""
    yield "README", *(READMES[language].read_text("utf-8") for language in LANGUAGES)
    for name in PAGES:
        yield name, *((DOCS / language / name).read_text("utf-8") for language in LANGUAGES)


def broken_links(path: Path) -> list[str]:
    """Return the relative links of a file that lead nowhere."""
    found: list[str] = []
    for link in _LINK.findall(prose(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, wanted = link.partition("#")
        target = path.parent / name if name else path
        exists = target.exists()
        if exists and wanted:
            exists = wanted in [anchor(text) for _, text in headings(target.read_text("utf-8"))]
        if not exists:
            found.append(link)
    return found
