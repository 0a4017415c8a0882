"""Translates sentences. A `Sentence` of ours still has its format and its values, and a constant is looked up. A
sentence that has come as text, from a peer of another release or from a file, is recognised: the catalogue's formats
serve as patterns, and the fields keep their content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter

from gotunnel.errors import Sentence
from gotunnel.i18n.lists import list_said
from gotunnel.i18n.prose import PROSE

__all__ = ["Sentences", "fields_of", "plain"]

LONGEST = 1024
"""The largest number of characters of a text to translate. No sentence of ours is longer, and a peer's text may be
anything."""
DEEPEST = 4
"""The depth of sentences within sentences: a cause in a reason in a problem."""
SHORTEST = 4
"""The number of letters that a format must have outside its fields; otherwise it would match everything."""
STRONG = 8
"""The number of letters of a format that is tried before the joints between sentences: "{value} is not {noun}" matches
too much."""

_JOINTS = (("; ", "；"), (": ", "："))
_MARKS = dict((*_JOINTS, (", ", "，")))
_BRACKETS = {" (": "（", ")": "）"}
_WRAPPED = re.compile(r" \((.+)\)", re.DOTALL)


def fields_of(format: str) -> list[str]:
    """Return the fields of a format as they are written, {name:spec}, sorted."""
    parts = Formatter().parse(format)
    return sorted(f"{name}:{spec}" if spec else name for _, name, spec, _ in parts if name is not None)


def plain(format: str) -> str:
    """Return the text for a format without fields."""
    return format.replace("{{", "{").replace("}}", "}")


class _Pattern:
    """One format with fields, as a pattern for the texts that it makes."""

    def __init__(self, english: str, translated: str) -> None:
        self.translated = re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", translated)
        literal = sum(character.isalpha() for text, *_ in Formatter().parse(english) for character in text)
        # A hint or a reason may be empty; in a short format that would match too much.
        wild = ".*?" if literal >= STRONG else ".+?"
        longest = ""
        # " must be ..." follows the name of a field.
        found = [r"(?P<_before>\S*)" if english.startswith(" ") else ""]
        seen: set[str] = set()
        for text, name, _, _ in Formatter().parse(english):
            found.append(re.escape(text))
            longest = max(longest, text, key=len)
            if name is not None:
                # A field directly after another one ("{address}{how}") is empty, or begins with a separator.
                what = wild if text or not seen else rf"(?:[\s,;(]{wild})?"
                found.append(f"(?P={name})" if name in seen else f"(?P<{name}>{what})")
                seen.add(name)
        self.weight = literal
        self._longest = longest
        self._match = re.compile("".join(found), re.DOTALL).fullmatch

    def values(self, text: str) -> dict[str, str] | None:
        """Return the content of the fields, or None if another format made the text."""
        found = self._match(text) if self._longest in text else None
        return None if found is None else found.groupdict()


class Sentences:
    """All sentences of one language, by their English texts."""

    def __init__(self, messages: Mapping[str, str], others: Mapping[str, str] | None = None) -> None:
        """`messages` are formats of ours, `others` texts of others."""
        self._exact: dict[str, str] = dict(others or {})
        self._formats: dict[str, str] = {}
        self._patterns: list[_Pattern] = []
        for english, translated in messages.items():
            if not isinstance(english, str) or not english or not translated:
                continue
            self._formats[english] = translated
            if fields_of(english):
                pattern = _Pattern(english, translated)
                if pattern.weight >= SHORTEST:
                    self._patterns.append(pattern)
            else:
                # "this client may not stay: " is the beginning of a sentence whose end somebody else supplies.
                self._exact[plain(english).removesuffix(": ")] = plain(translated).removesuffix("：")
        # Longer formats come first: "{path}: no such file" before "{path}: {reason}".
        self._patterns.sort(key=lambda pattern: -pattern.weight)
        self._weak = [pattern for pattern in self._patterns if pattern.weight < STRONG]
        self._patterns = self._patterns[: len(self._patterns) - len(self._weak)]
        self._guessed = lru_cache(maxsize=1024)(self._said)
        self._inside = lru_cache(maxsize=1024)(self._said_inside)

    def say(self, text: str) -> str:
        """Return a text in this language, or unchanged if it is not ours."""
        return self._composed(text) if isinstance(text, Sentence) else self._guessed(text)

    def word(self, text: str) -> str:
        """Return a complete text that is known to be ours, without analysing it."""
        return self._exact.get(text, text)

    def _composed(self, sentence: Sentence) -> str:
        values = {name: self._value(name, value) for name, value in sentence.values.items()}
        translated = self._formats.get(sentence.english)
        if translated is not None:
            return translated.format_map(values)
        if not values:
            return self._guessed(str.__str__(sentence))
        # Only fields: "{target}: {reason}". A mark after our words is ours, one after a name is not.
        brackets = {} if all(str(value).isascii() for value in values.values()) else _BRACKETS
        said = ""
        for text, name, *_ in Formatter().parse(sentence.english):
            ours = bool(said) and not said[-1].isascii()
            said += brackets.get(text) or (_MARKS.get(text, text) if ours else text)
            said += "" if name is None else str(values[name])
        return said

    def _value(self, name: str, value: object) -> object:
        if isinstance(value, Sentence):
            return self._composed(value)
        # The parts of joined sentences have numbers as names.
        ours = isinstance(value, str) and (name in PROSE or name.startswith("_"))
        return self._inside(value) if ours else value

    def _said_inside(self, text: str) -> str:
        # A single word may be somebody's name.
        return self._find(text, DEEPEST - 1) if len(text) <= LONGEST else text

    def _said(self, text: str) -> str:
        if len(text) > LONGEST:
            return text
        said = list_said(text, lambda word: self._exact.get(word, word))
        return self._find(text, DEEPEST) if said is None else said

    def _find(self, text: str, depth: int) -> str:
        # Within a sentence a single word may be a name: it counts as ours only if it is the whole text.
        known = self._exact.get(text) if depth == DEEPEST or " " in text else None
        if known is not None or not depth:
            return text if known is None else known
        said = self._match(self._patterns, text, depth)
        if said is None:
            said = self._taken_apart(text, depth)
        if said is None:
            said = self._match(self._weak, text, depth)
        return text if said is None else said

    def _match(self, patterns: list[_Pattern], text: str, depth: int) -> str | None:
        for pattern in patterns:
            values = pattern.values(text)
            if values is not None:
                before = values.pop("_before", "")
                said = {name: self._find(value, depth - 1) for name, value in values.items()}
                if "noun" in values and said["noun"] == values["noun"]:
                    continue  # "{value} is not {noun}" also matches many other sentences
                return before + pattern.translated.format_map(said)
        return None

    def _taken_apart(self, text: str, depth: int) -> str | None:
        """Translate a text that others have joined: "what: why", "what; cure" or " (hint)"."""
        wrapped = _WRAPPED.fullmatch(text)
        if wrapped is not None:
            inside = self._find(wrapped[1], depth - 1)
            return None if inside == wrapped[1] else f"（{inside}）"
        # The outer joint comes first: "code: what; cure", "what; cure: like this".
        for joint, other in sorted(_JOINTS, key=lambda each: text.find(each[0])):
            head, found, tail = text.partition(joint)
            if not found:
                continue
            heads, tails = self._find(head, depth - 1), self._find(tail, depth - 1)
            if heads != head:
                return f"{heads}{other}{tails}"
            if tails != tail:
                return f"{head}{joint}{tails}"
        return None
