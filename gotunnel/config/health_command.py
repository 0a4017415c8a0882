"""The options of a health check that runs a command. Nothing here runs it."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from pydantic import Field

from gotunnel.config.kinds import Kind, Section, sort, text_of, wrong

__all__ = ["CommandOptions"]

CURE = "write a program and its arguments, like [pg_isready, -q] or \"pg_isready -q\""


def _read_command(value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        # A list item that YAML reads as a number was meant as written: it is an argument.
        found = [str(item) for item in value if isinstance(item, (str, int, float)) and not isinstance(item, bool)]
        if len(found) != len(value):
            raise wrong("holds something that is not text", CURE)
    else:
        text = text_of(value, "a command", CURE)
        try:
            found = shlex.split(text)
        except ValueError:
            raise wrong(f"{sort(value)} has a quote that is not closed", CURE) from None
    if not found or not found[0].strip():
        raise wrong("names no program", CURE)
    if any("\0" in word for word in found):
        raise wrong("has a NUL character", CURE)
    return tuple(found)


class CommandOptions(Section):
    """Which command is run."""

    command: Annotated[
        tuple[str, ...],
        Kind(
            "program and arguments, as a list or a text",
            _read_command,
            list,
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number"]}}]},
        ),
    ] = Field(
        description="command to run, without a shell; exit code 0 within `timeout` means that the target is up. It "
        "finds the target in GOTUNNEL_TARGET, its parts in GOTUNNEL_TARGET_HOST and GOTUNNEL_TARGET_PORT, and no other "
        "variable GOTUNNEL_…. When it ends, everything that it has started ends too"
    )
