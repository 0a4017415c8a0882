"""Helpers to build the lines of `gotunnel check` from Sentences, so that each can be translated."""

from __future__ import annotations

from collections.abc import Iterable

from gotunnel.errors import Sentence

__all__ = ["CLIENT", "SERVER", "WARNING", "all_of", "any_of", "line", "listed", "of_client"]

SERVER, CLIENT, WARNING = Sentence.word("server"), Sentence.word("client"), Sentence.word("warning")


def of_client(name: str) -> Sentence:
    """Return the beginning of a line about a client."""
    return Sentence("{what} {name}", what=CLIENT, name=name)


def line(about: Sentence, *said: str) -> Sentence:
    """Return "about: this, that"; empty parts are left out."""
    return Sentence.joined(": ", (about, Sentence.joined(", ", said)))


def listed(values: Iterable[object]) -> str:
    """Return names and numbers as a list; these are not translated."""
    return ", ".join(map(str, values))


def all_of(values: Iterable[str]) -> str:
    """Return "a and b and c"; there must be at least one."""
    first, *others = values
    for other in others:
        first = Sentence("{before} and {value}", before=first, value=other)
    return first


def any_of(values: Iterable[str]) -> str:
    """Return "a or b or c"; there must be at least one."""
    first, *others = values
    for other in others:
        first = Sentence("{before} or {value}", before=first, value=other)
    return first
