"""Finds the plugin that a file names, and validates its options with the plugin's own model. No plugin is imported if
the file names none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gotunnel.config.kinds import Part, Section, several, sort, wrong
from gotunnel.config.source import BROKEN
from gotunnel.errors import Sentence

__all__ = ["HIDDEN", "PLUGINS", "RESERVED", "Hidden", "described", "find_plugin", "open_schema", "read_options"]

PLUGINS = "plugins"
"""Key in pydantic's validation context: a catalogue to use instead of this machine's."""
RESERVED = frozenset({"plugin", "type", "interval", "timeout", "failures", "successes", "options"})
"""Keys that may be beside a plugin's options, with a meaning of their own."""


@dataclass(frozen=True)
class Hidden:
    """Marks a field that no file can set: it holds the result of a plugin's model."""


HIDDEN = Hidden()


def open_schema(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of a group allow any options of a plugin."""
    schema.get("properties", {}).pop("options", None)
    schema["additionalProperties"] = True


def find_plugin(
    kinds: tuple[str, ...], value: Any, noun: str, context: Any, more: tuple[str, ...] = ()
) -> tuple[str, Any]:
    """Return the kind and the plugin of that name, of one of these kinds; it provides IExtension. Raises the error of
    `wrong`, which lists the plugins and the other accepted words (`more`)."""
    catalogue = (context or {}).get(PLUGINS)
    if catalogue is None:
        # Imported late: finding plugins takes Twisted, which this package does not load otherwise.
        from gotunnel.catalogue import Catalogue

        catalogue = Catalogue()
    text = value.strip() if isinstance(value, str) else ""
    for kind in kinds if text else ():
        found = catalogue.find(kind, text)
        if found is not None:
            return kind, found
    names = (*more, *(name for kind in kinds for name in catalogue.names(kind)))
    cure = f"write one of these words, or install the plugin that has it; `gotunnel plugins` lists all {noun}"
    broken = catalogue.broken()
    if broken:
        cure += "; cannot be loaded: " + ", ".join(f"{each.name} ({each.reason})" for each in broken)
    from difflib import get_close_matches  # imported late: only needed for a mistake

    near = get_close_matches(text.lower(), names, 1, 0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    listed = ", ".join(names)
    raise wrong(f"{sort(value)} is not one of {listed}", hint + cure)


def read_options(plugin: Any, keys: Mapping[Any, Any], context: Any) -> Section:
    """Return the options of a plugin, from its own keys in a group. Raises the error of `several`."""
    model: type[Section] = plugin.options
    try:
        return model.model_validate(dict(keys), context=context)
    except ValidationError as error:
        found = error.errors(include_url=False)
        parts = [part for item in found if item["input"] is not BROKEN for part in _parts(item, plugin)]
    # With no parts, the parser has reported everything: the error only refuses the group.
    raise several(parts)


def _parts(item: ErrorDetails, plugin: Any) -> list[Part]:
    path, kind = item["loc"], item["type"]
    if kind == "gotunnel":
        return [((*path, *below), what, cure) for below, what, cure in item["ctx"]["parts"]]
    known = ", ".join(plugin.options.model_fields) or "none"
    if kind == "missing":
        return [(path, "is missing", f"add {path[-1]}: the plugin {plugin.name} needs it")]
    if kind == "extra_forbidden":
        from difflib import get_close_matches

        near = get_close_matches(str(path[-1]).lower(), plugin.options.model_fields, 1, 0.6)
        cure = f"did you mean {near[0]}?" if near and len(path) == 1 else f"remove it; known here: {known}"
        return [(path, f"is not an option of the plugin {plugin.name}", cure)]
    said = item["msg"].removeprefix("Value error, ")
    what = Sentence("is not what the plugin {plugin} takes: {said}", plugin=plugin.name, said=said)
    return [(path, what, described(plugin.options, path))]


def described(model: type[BaseModel], path: tuple[Any, ...]) -> str:
    """Return the description of an option in the model."""
    info = model.model_fields.get(str(path[0])) if path else None
    return (info.description if info is not None else None) or "`gotunnel plugins` says what it takes"
