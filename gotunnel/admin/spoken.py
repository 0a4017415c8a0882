"""Translates the API's answers into the language of the page's user: sentences of ours, but no names that others have
chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gotunnel.admin.events import EventView
from gotunnel.admin.face import Refused
from gotunnel.core.view import Finding, MappingView, SessionView
from gotunnel.errors import Sentence
from gotunnel.i18n.language import ENGLISH, LANGUAGES, Language, language

__all__ = ["asked_for", "known", "load", "spoken"]

_SENTENCES = {SessionView: "reason", MappingView: "reason", Finding: "reason", EventView: "text"}
"""The field of each view that is a sentence."""
_NO_PORT = "no port, "


_known = {ENGLISH.name: ENGLISH}


def asked_for(query: dict[str, str]) -> str:
    """Remove `lang` from a query, and return its value; English if it is absent. Raises Refused."""
    name = query.pop("lang", ENGLISH.name)
    if name not in LANGUAGES:
        raise Refused(Sentence("lang is one of {languages}", languages=', '.join(LANGUAGES)))
    return name


def known(name: str) -> Language | None:
    """Return a language, or None if its catalogue must be loaded."""
    return _known.get(name)


def load(name: str) -> Language:
    """Load a language. That takes some tenths of a second, so call it in a thread: visitors must not wait."""
    return _known.setdefault(name, language(name))


def spoken(content: dict[str, Any], said: Language) -> dict[str, Any]:
    """Return an answer in a language; lists are translated while they are read."""
    if said is ENGLISH:
        return content
    return {key: _of_key(key, value, said) for key, value in content.items()}


def _of_key(key: str, value: Any, said: Language) -> Any:
    if key == "error":
        return said.sentence(value)
    if key == "lines":  # of a reload
        return [said.sentence(line) for line in value]
    return _spoken(value, said)


def _spoken(value: Any, said: Language) -> Any:
    if isinstance(value, Iterator):
        return (_view(each, said) for each in value)
    if isinstance(value, list):
        return [_view(each, said) for each in value]
    return value


def _view(view: Any, said: Language) -> Any:
    field = _SENTENCES.get(type(view))
    if field is None:
        return view
    changed: dict[str, Any] = {field: said.sentence(getattr(view, field))}
    if isinstance(view, MappingView) and view.address.startswith(_NO_PORT):
        changed["address"] = said.sentence(view.address)
    if isinstance(view, SessionView):
        changed["refused_nodes"] = {node: said.sentence(reason) for node, reason in view.refused_nodes.items()}
    return replace(view, **changed)
