"""Parses YAML text into plain values, with the line of every key. Stricter than YAML: one document, no duplicate keys,
no tags, few aliases, bounded size and depth. It knows no keys of gotunnel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from gotunnel.config.scalars import read_plain
from gotunnel.errors import printable

__all__ = ["BROKEN", "Broken", "Document", "Flaw", "KeyPath", "Unreadable", "parse"]

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 16
MAX_VALUES = 20_000
"""Values in a file, with every alias expanded: nine lines of aliases can make a billion of them."""
MAX_ALIASES = 100

_QUOTED = re.compile(r"'(?!<)[^']{2,}'")


class Broken:
    """Takes the place of a value that was already reported, so that it is not reported again."""

    def __repr__(self) -> str:
        return "(unreadable)"


BROKEN = Broken()


@dataclass(frozen=True, slots=True)
class Flaw:
    """One mistake in a file, without the file's name. See `gotunnel.errors.Problem`."""

    path: KeyPath
    line: int | None
    wrong: str
    cure: str


class Unreadable(Exception):
    """The text is not YAML, or cannot be parsed further; `flaw` says why."""

    def __init__(self, line: int | None, wrong: str, cure: str) -> None:
        super().__init__(wrong)
        self.flaw = Flaw((), line, wrong, cure)


@dataclass(slots=True)
class Document:
    """The content of a file. `root` consists of dict, list, str, int, float, bool and BROKEN; `lines` has line numbers
    from 1 by key path."""

    root: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of a key, or of the nearest enclosing key in the file; None if there is none."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def parse(text: str) -> Document:
    """Parse one YAML document. Mistakes that allow parsing to continue are in `flaws`. Raises Unreadable for others."""
    reader = _Reader(text)
    try:
        reader.read()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = error.character if isinstance(error.character, int) else ord(error.character[:1])
        wrong = f"the character U+{character:04X} does not belong into a text file"
        raise Unreadable(line, wrong, "remove it, or save the file as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(text, error) from None
    except (ValueError, OverflowError):
        # PyYAML calls chr() on the number in \UFFFFFFFF, and int() on the one in %YAML, before it checks them.
        raise Unreadable(
            None, "has an escape (\\U) or a %YAML line that means nothing", "remove it"
        ) from None
    return reader.document


def _syntax(text: str, error: yaml.MarkedYAMLError) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    lines = text.splitlines()
    indent = re.match(r"\s*", lines[line - 1]) if line is not None and line <= len(lines) else None
    problem = error.problem or "cannot be read"
    if "\\t" in problem or (indent is not None and "\t" in indent.group()):
        return Unreadable(line, "a tab indents this line, and YAML allows none there", "indent with spaces")
    # PyYAML quotes what it found, possibly part of a token: only its own <names> and single characters are kept.
    wrong = f"is not YAML: {printable(_QUOTED.sub('…', problem))}"
    return Unreadable(
        line, wrong, "look at the indentation, the quotes and the colons here and in the line above"
    )


class _Reader:
    """Builds a Document from PyYAML's events."""

    def __init__(self, text: str) -> None:
        self.document = Document()
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0
        self._aliases = 0

    def read(self) -> None:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return
        self.document.root = self._value(next(self._events), ())
        next(self._events)  # the end of the document
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            wrong = "a second document begins here (---)"
            raise Unreadable(_line(event), wrong, "keep one document in one file")

    def _flaw(self, path: KeyPath, event: yaml.Event, wrong: str, cure: str) -> Broken:
        self.document.flaws.append(Flaw(path, _line(event), wrong, cure))
        return BROKEN

    def _value(self, event: yaml.Event, path: KeyPath) -> Any:
        self.document.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        before = self._values
        self._count(1, event)
        if len(path) > MAX_DEPTH:
            raise Unreadable(
                _line(event), f"is nested more than {MAX_DEPTH} levels deep", "no other key needs it"
            )
        tag = getattr(event, "tag", None)
        value: Any
        if isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            value = self._scalar(event, path)
        # PyYAML reports "!" for a non-specific tag; no key of ours needs any tag.
        if tag is not None and value is not BROKEN:
            value = self._flaw(
                path,
                event,
                "has a YAML tag (a word that starts with !)",
                "remove the tag, or quote the value",
            )
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (value, self._values - before)
        return value

    def _alias(self, event: yaml.AliasEvent, path: KeyPath) -> Any:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise Unreadable(
                _line(event), f"has more than {MAX_ALIASES} aliases (*name)", "write the values out"
            )
        if event.anchor not in self._anchors:
            # The name is not shown: it may be a token that starts with *.
            return self._flaw(
                path, event, "is an alias of no anchor before it", "quote a value that starts with *"
            )
        value, size = self._anchors[event.anchor]
        self._count(size, event)
        return value

    def _count(self, size: int, event: yaml.Event) -> None:
        self._values += size
        if self._values > MAX_VALUES:
            raise Unreadable(
                _line(event), f"has more than {MAX_VALUES} values, aliases expanded", "write a smaller file"
            )

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if key is None:
                self._value(event, (*path, "?"))
                self._value(next(self._events), (*path, "?"))
                self._flaw(path, event, "has a key that is not a word", "write keys as single words")
                continue
            here = (*path, key)
            first = self.document.lines.get(here)
            if key in found and first is not None:
                self._value(next(self._events), (*here, "(again)"))
                wrong = f"is in line {first} and again in line {_line(event)}"
                self._flaw(here, event, wrong, "keep one of the two")
                continue
            self.document.lines[here] = _line(event)
            value = self._value(next(self._events), here)
            if key == "<<":
                self._flaw(
                    here, event, "is YAML's merge key, which is not understood here", "write the keys out"
                )
                continue
            if not _has_surrogate(key):
                found[key] = value
            else:
                self._flaw(path, event, "has a key that is not text", "remove the \\u escape")
        return found

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> Any:
        value = event.value if event.style is not None else read_plain(event.value)
        if value is None:
            return self._flaw(path, event, "has no value", "give it one, or remove the key") if path else None
        if isinstance(value, str) and _has_surrogate(value):
            return self._flaw(path, event, "holds an escape that is not a character", "remove the \\u escape")
        return value


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None  # only events made by a program have no mark
    return int(event.start_mark.line) + 1


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)
