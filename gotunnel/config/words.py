"""A configuration that no file holds, but a command line or a program: what its options mean, and what its mistakes are
called."""

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


def tls_section(ca: str | None, pin: str | None, *, plain: bool) -> dict[str, Any]:
    """Return what the options on TLS mean in a configuration."""
    section: dict[str, Any] = {"mode": "off" if plain else "required"}
    if ca is not None:
        section["ca"] = os.path.abspath(ca)
    if pin is not None:
        section["pin"] = pin
    return section


def validated(section: dict[str, Any], program: str, words: Mapping[tuple[str, ...], str]) -> ClientConfig:
    """Return the configuration. Raises ConfigError in the words of the command line."""
    try:
        return ClientConfig.model_validate(section)
    except ValidationError as error:
        raise ConfigError(problems(error, program, words)) from None


def own_name(what: str, port: str) -> str:
    """Return a name that two of these on one machine do not share, nor two machines."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:40]
    number = re.sub(r"[^0-9]", "-", port)[:8]
    return "-".join(filter(None, (what, host, number)))
