"""Helpers for configurations that come from a command line or a program instead of a file: the meaning of options, and
the names of keys in messages."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gotunnel.config.model import ClientConfig
from gotunnel.errors import ConfigError, Problem

__all__ = ["own_name", "problems", "tls_section", "validated"]


def problems(error: ValidationError, program: str, words: Mapping[tuple[str, ...], str]) -> list[Problem]:
    """Return the mistakes in `error`. Each key gets its name from `words`, or that of the nearest enclosing key there,
    ignoring positions in lists; an unknown key keeps its own name."""
    found: list[Problem] = []
    for item in error.errors(include_url=False, include_input=False):
        parts = item["ctx"]["parts"] if item["type"] == "gotunnel" else [((), item["msg"], "")]
        for below, wrong, cure in parts:
            path = tuple(str(part) for part in (*item["loc"], *below) if not isinstance(part, int))
            around = (words[path[:length]] for length in range(len(path), 0, -1) if path[:length] in words)
            found.append(Problem(program, None, next(around, ".".join(path)), wrong, cure))
    return found


def tls_section(ca: str | None, pin: str | None, *, plain: bool) -> dict[str, Any]:
    """Return the configuration section for the TLS options."""
    section: dict[str, Any] = {"mode": "off" if plain else "required"}
    if ca is not None:
        section["ca"] = os.path.abspath(ca)
    if pin is not None:
        section["pin"] = pin
    return section


def validated(section: dict[str, Any], program: str, words: Mapping[tuple[str, ...], str]) -> ClientConfig:
    """Return the configuration. Raises ConfigError, in the words of the command line."""
    try:
        return ClientConfig.model_validate(section)
    except ValidationError as error:
        raise ConfigError(problems(error, program, words)) from None


def own_name(what: str, port: str) -> str:
    """Return a name that differs between machines, and between two such programs on one machine."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:40]
    number = re.sub(r"[^0-9]", "-", port)[:8]
    return "-".join(filter(None, (what, host, number)))
