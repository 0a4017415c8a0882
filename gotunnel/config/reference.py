"""The reference of all keys, made from the models: the rows of a Markdown table, and a JSON Schema for editors."""

from __future__ import annotations

import json
import re
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gotunnel.config.kinds import Kind, Section, Short
from gotunnel.config.model import File
from gotunnel.config.tree import key_name, walk

__all__ = ["default_of", "schema", "table", "takes_of"]

_LISTS = re.compile(r"\b(forwards|mappings|nodes|clients|observers|authenticators|listeners)\.")

GROUPS = {("server",), ("client",)}
"""Groups without a row: the two sections of a file."""


def table() -> list[str]:
    """Return the reference as lines of a Markdown table, including its header: key, accepted values, default,
    purpose."""
    rows = ["| key | takes | default | what it is for |", "|---|---|---|---|"]
    for path, info in walk():
        if path not in GROUPS:
            # Items of lists of groups are written with [] after the list.
            key = _LISTS.sub(r"\1[].", key_name(path))
            cells = (f"`{key}`", takes_of(info), default_of(info), info.description or "")
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a file. It is less strict than the models: checks between keys are not in it."""
    return File.model_json_schema()


def takes_of(info: FieldInfo) -> str:
    """Return the accepted values of a key, in words."""
    kind = _kind(info.metadata) or _kind_in(info.annotation)
    if kind is not None:
        return kind.takes
    inner = [part for part in (info.annotation, *get_args(info.annotation)) if part is not NoneType]
    if not any(isinstance(part, type) and issubclass(part, Section) for part in inner if not get_args(part)):
        # An option of a plugin, of any type that pydantic supports.
        return getattr(info.annotation, "__name__", "") or str(info.annotation).replace("typing.", "")
    several = any(get_origin(part) in (tuple, list) for part in (info.annotation, *get_args(info.annotation)))
    return "list of groups" if several else "group"


def _kind(metadata: Any) -> Kind | Short | None:
    return next((found for found in metadata if isinstance(found, (Kind, Short))), None)


def _kind_in(annotation: Any) -> Kind | Short | None:
    inner = (_kind(getattr(part, "__metadata__", ())) for part in get_args(annotation))
    return next((kind for kind in inner if kind is not None), None)


def default_of(info: FieldInfo) -> str:
    """Return the default of a key as a file writes it; "required" if there is none."""
    value = info.get_default()
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ("", ()) or isinstance(value, Section):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    kind = _kind(info.metadata)
    if isinstance(value, int) and isinstance(kind, Kind):
        value = kind.write(value)
    return f"`{json.dumps(value)}`" if isinstance(value, tuple) else f"`{value}`"
