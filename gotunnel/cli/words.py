"""What a configuration's mistakes are called when no file holds them but a command line. Validates nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from gotunnel.errors import Problem

__all__ = ["problems"]


def problems(error: ValidationError, program: str, words: Mapping[tuple[str, ...], str]) -> list[Problem]:
    """Return what `error` says of a configuration. Each key is called what `words` calls it or the nearest key around
    it, places in lists apart; a key that it does not know keeps its name."""
    found: list[Problem] = []
    for item in error.errors(include_url=False, include_input=False):
        parts = item["ctx"]["parts"] if item["type"] == "gotunnel" else [((), item["msg"], "")]
        for below, wrong, cure in parts:
            path = tuple(str(part) for part in (*item["loc"], *below) if not isinstance(part, int))
            around = (words[path[:length]] for length in range(len(path), 0, -1) if path[:length] in words)
            found.append(Problem(program, None, next(around, ".".join(path)), wrong, cure))
    return found
