"""Expands `${VAR}` in the string values of a parsed file. `$${` is a literal `${`. No other shell syntax is
supported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gotunnel.config.scalars import Text
from gotunnel.config.source import BROKEN, Document, Flaw, KeyPath

__all__ = ["expand"]

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


def expand(value: Any, env: Mapping[str, str], document: Document, path: KeyPath = ()) -> Any:
    """Return a copy of `value` with all variables expanded. A value that cannot be expanded becomes BROKEN, with a flaw
    added."""
    if isinstance(value, dict):
        return {key: expand(item, env, document, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, env, document, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    wrong: list[tuple[str, str]] = []

    def replace(match: re.Match[str]) -> str:
        if match.group() == "$${":
            return "${"
        name = match.group(1)
        if name is None:
            wrong.append(("has a ${ that is no ${NAME}", "write ${NAME}; a literal ${ is written $${"))
            return ""
        if name not in env:
            wrong.append(
                (f"names the variable {name[:64]}, which is not set", f"set {name[:64]}, or write the value")
            )
            return ""
        return env[name]

    expanded = _REFERENCE.sub(replace, value)
    if not wrong and not expanded.isprintable() and any("\ud800" <= c <= "\udfff" for c in expanded):
        wrong.append(("names a variable that does not hold UTF-8 text", "set it to text"))
    for reason, cure in wrong:
        document.flaws.append(Flaw(path, document.line_of(path), reason, cure))
    return BROKEN if wrong else Text(expanded, written=value)
