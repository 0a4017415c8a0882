"""Turns pydantic's errors into messages for an operator: missing keys, and unknown keys with suggestions."""

from __future__ import annotations

from pydantic import ValidationError

from gotunnel.config.source import BROKEN, Document, Flaw, KeyPath
from gotunnel.config.tree import keys_at, suggestion
from gotunnel.errors import printable

__all__ = ["NOBODY", "flaws_of"]

TOKEN_CURE = (
    "make one with `gotunnel token`, and name it with token_file, token or the variable GOTUNNEL_TOKEN"  # noqa: S105
)

NOBODY = (
    "there is no token",
    f"{TOKEN_CURE}; or give each client a token of its own: `gotunnel client add NAME`, clients, or a clients_file",
)
"""What is wrong with a server that nobody could connect to, and what would be right."""

_MISSING = {
    "token": ("there is no token", TOKEN_CURE),
    "name": ("is missing", "give the client a name, like name: worker-1"),
    "local": ("is missing", "add local: with the port or the address of the service"),
    "remote": ("is missing", "add remote: with the port that the server listens on"),
}


def flaws_of(error: ValidationError, document: Document) -> list[Flaw]:
    """Return the mistakes that pydantic found, in our words. Those that the parser has reported are left out."""
    found: list[Flaw] = []
    for item in error.errors(include_url=False):
        if item["input"] is BROKEN:
            continue
        path = item["loc"]
        kind = item["type"]
        if kind == "gotunnel":
            for below, what, cure in item["ctx"]["parts"]:
                found.append(_flaw(document, (*path, *below), what, cure))
        elif kind == "missing":
            found.append(
                _flaw(document, path, *_MISSING.get(str(path[-1]), ("is missing", f"add {path[-1]}:")))
            )
        elif kind == "extra_forbidden":
            found.append(_flaw(document, path, "is not a known key", suggestion(path)))
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            found.append(_flaw(document, path, "is not a group of keys", _keys_cure(path)))
        elif kind in ("tuple_type", "list_type"):
            found.append(_flaw(document, path, "is not a list", "write - in front of each of them"))
        else:
            found.append(_flaw(document, path, printable(item["msg"]), ""))
    return found


def _flaw(document: Document, path: KeyPath, what: str, cure: str) -> Flaw:
    return Flaw(path, document.line_of(path), what, cure)


def _keys_cure(path: KeyPath) -> str:
    if isinstance(path[-1], int):
        return "write it like {name: api, local: 6443, remote: 6443}"
    return f"put keys under it, indented; known are {', '.join(keys_at(path))}"
