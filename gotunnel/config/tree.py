"""The tree of keys defined by the models: which keys there are, and which one a misspelled key may have meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gotunnel.config.plugins import HIDDEN

__all__ = ["key_name", "keys_at", "suggestion", "walk"]


def key_name(path: tuple[str | int, ...]) -> str:
    """Return a key path as messages write it: client.mappings[2].local"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def walk(
    model: type[BaseModel] | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield every key below `model`, by default File; groups come before their keys. Items of lists have the path of
    the list."""
    if model is None:
        from gotunnel.config.file import File  # imported late: only mistakes need both sections

        model = File
    for name, info in model.model_fields.items():
        if HIDDEN in info.metadata:
            continue
        yield (*path, name), info
        inner = _model_in(info.annotation)
        if inner is not None:
            yield from walk(inner, (*path, name))


def keys_at(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys allowed in the group at `path`; none if there is no such group."""
    names = tuple(part for part in path if isinstance(part, str))
    return [found[-1] for found, _ in walk() if found[:-1] == names]


def suggestion(path: tuple[str | int, ...]) -> str:
    """Return what to do about an unknown key."""
    from difflib import get_close_matches  # imported late: only needed for a mistake

    key = str(path[-1]).lower()
    here = keys_at(path[:-1])
    near = [key] if key in here else get_close_matches(key, here, 2, 0.6)
    known = list(dict.fromkeys(found for found, _ in walk() if len(found) > 1 and found[-1] not in here))
    wanted = [key] if near else [key, *get_close_matches(key, [found[-1] for found in known], 1, 0.75)]
    for name in wanted:
        elsewhere = [key_name(found) for found in known if found[-1] == name]
        if elsewhere:
            near += elsewhere
            break
    return f"did you mean {' or '.join(near)}?" if near else f"remove it; known here: {', '.join(here)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    # get_args: Python 3.10 takes tuple[int, ...] for a class.
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_model_in, get_args(annotation)) if found is not None), None)
