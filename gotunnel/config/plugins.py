"""A plugin that a file names: which one, and its options, validated by the plugin's own model. No plugin is imported
where a file names none."""

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
"""Key of pydantic's validation context: a catalogue in place of the one of this machine."""
RESERVED = frozenset({"plugin", "type", "interval", "timeout", "failures", "successes", "options"})
"""Keys that stand beside the options of some plugin, and have a meaning of their own there."""


@dataclass(frozen=True)
class Hidden:
    """Marks a field that no file can have: it holds what a plugin's model made of keys beside it."""


HIDDEN = Hidden()


def open_schema(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of a group allow whatever options a plugin has."""
    schema.get("properties", {}).pop("options", None)
    schema["additionalProperties"] = True


def find_plugin(
    kinds: tuple[str, ...], value: Any, noun: str, context: Any, more: tuple[str, ...] = ()
) -> tuple[str, Any]:
    """Return the plugin of that name and of one of these kinds, which provides IExtension, behind the word for its
    kind. Raises the error of `wrong`, which says which ones there are, and which other words would do (`more`)."""
    catalogue = (context or {}).get(PLUGINS)
    if catalogue is None:
        # Loaded where a file names a plugin, and nowhere else: Twisted finds plugins, and this part knows no Twisted.
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
    from difflib import get_close_matches  # nobody needs it whose file is right

    near = get_close_matches(text.lower(), names, 1, 0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    listed = ", ".join(names)
    raise wrong(f"{sort(value)} is not one of {listed}", hint + cure)


def read_options(plugin: Any, keys: Mapping[Any, Any], context: Any) -> Section:
    """Return the options of a plugin, from the keys of a group that are its own. Raises the error of `several`."""
    model: type[Section] = plugin.options
    try:
        return model.model_validate(dict(keys), context=context)
    except ValidationError as error:
        found = error.errors(include_url=False)
        parts = [part for item in found if item["input"] is not BROKEN for part in _parts(item, plugin)]
    # All of it was reported when it was parsed: an error without parts refuses the group and says nothing more.
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
        return [(path, f"is no option of the plugin {plugin.name}", cure)]
    said = item["msg"].removeprefix("Value error, ")
    what = Sentence("is not what the plugin {plugin} takes: {said}", plugin=plugin.name, said=said)
    return [(path, what, described(plugin.options, path))]


def described(model: type[BaseModel], path: tuple[Any, ...]) -> str:
    """Return what the model says of an option."""
    info = model.model_fields.get(str(path[0])) if path else None
    return (info.description if info is not None else None) or "`gotunnel plugins` says what it takes"
