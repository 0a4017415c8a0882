"""A transport on a command line: the plugin's name, and options with values as in a file. Whether the plugin exists and
accepts its options is checked when its configuration is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from gotunnel.errors import ConfigError, Problem, Sentence, printable

__all__ = ["OPTION", "transport_section"]

OPTION = "--transport-option"


def transport_section(name: str | None, options: Iterable[str], program: str) -> dict[str, Any] | None:
    """Return the keys of `transport`, or None if it is not given. Raises ConfigError."""
    found: dict[str, Any] = {}
    for word in options:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", key) or key in ("plugin", "options"):
            what = Sentence("{word} is not KEY=VALUE", word=repr(printable(word)))
            raise ConfigError([Problem(program, None, OPTION, what, "write it like proxy=proxy.example.com:3128")])
        if key in found:
            cure = "say each option once"
            raise ConfigError([Problem(program, None, OPTION, Sentence("{key} appears twice", key=key), cure)])
        found[key] = _value(value)
    if name == "":
        raise ConfigError([Problem(program, None, "--transport", "is empty", "leave it out")])
    if name is not None:
        return {"plugin": name, **found}
    if found:
        raise ConfigError([Problem(
            program, None, OPTION, "is only used with --transport",
            "give --transport NAME to say which plugin it belongs to",
        )])  # fmt: skip
    return None


def _value(text: str) -> Any:
    """Return the value of a word: a number, true or false, or a list, as in JSON; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
