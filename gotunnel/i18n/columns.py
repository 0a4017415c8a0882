"""Lines and tables of text with double-width characters, such as Chinese ones. click and Twisted count characters when
they lay out a help page, and break lines only at spaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

__all__ = ["cells", "table", "wrapped"]

_CLOSING = frozenset("，。；：、！？）」》』】,.;:!?)]}%")
"""Characters that must not begin a line."""
_OPENING = frozenset("（「《『【([{")
"""Characters that must not end a line."""


def cells(text: str) -> int:
    """Return the number of terminal columns that a text takes."""
    return len(text) + sum(map(_wide, text))


def _wide(character: str) -> bool:
    return east_asian_width(character) in "WF"


def _words(text: str) -> Iterator[str]:
    """Yield the pieces within which a line must not be broken. A space before a piece belongs to it."""
    word = ""
    for character in text:
        if word and not word.isspace():
            joint = _wide(word[-1]) or _wide(character) or character.isspace()
            if joint and (character not in _CLOSING) and word[-1] not in _OPENING:
                yield word
                word = ""
        word += character
    if word:
        yield word


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a paragraph. None is wider than `width` columns, unless a single word is. Lines end at a
    space or beside a wide character."""
    lines = [""]
    for word in _words(" ".join(text.split())):
        if lines[-1] and cells(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    return lines


def table(rows: Iterable[tuple[str, str]], width: int, widest: int) -> Iterator[str]:
    """Yield the lines of a table with two columns. The first is indented by two, and at most `widest` wide; a longer
    term gets a line of its own."""
    rows = list(rows)
    first = min(max(cells(term) for term, _ in rows), widest)
    margin = " " * (2 + first + 2)
    for term, text in rows:
        lines = wrapped(text, max(width - len(margin), 10))
        if cells(term) > first:
            yield f"  {term}"
        else:
            lines[0] = f"  {term}{' ' * (first - cells(term))}  {lines[0]}".rstrip()
            yield lines.pop(0)
        yield from (margin + line for line in lines)
