"""The configuration that `gotunnel join` makes: from the words of the command line to a client's section and the text
of its file. Writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gotunnel.config.model import ClientConfig
from gotunnel.config.words import validated
from gotunnel.errors import ConfigError, Problem

__all__ = ["PROGRAM", "Wish", "client_section", "config_of", "config_text"]

PROGRAM = "gotunnel join"

WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "--name",
    ("server_addr",): "HOST:PORT",
    ("token",): "the token",
    ("tls", "ca"): "--ca",
    ("tls", "cert"): "--cert",
    ("tls", "key"): "--key",
    ("tls", "pin"): "--pin",
    ("local_ports",): "--ports",
    ("mappings", "local"): "--local",
    ("mappings", "remote"): "--remote",
}
"""What the command line calls the keys of a configuration."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. `remote` has one entry for each of `local`."""

    server: str
    name: str
    pin: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    plain: bool = False
    ports: str | None = None
    local: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()


def client_section(wish: Wish) -> dict[str, Any]:
    """Return the `client:` section, but for its token. Raises ConfigError for what contradicts itself."""
    if len(wish.local) != len(wish.remote):
        cure = "give each --local a --remote with its port on the server"
        raise ConfigError([Problem(PROGRAM, None, "--local", "and --remote do not come in pairs", cure)])
    section: dict[str, Any] = {"name": wish.name, "server_addr": wish.server}
    tls: dict[str, Any] = {"mode": "off"} if wish.plain else {}
    for key, path in (("ca", wish.ca), ("cert", wish.cert), ("key", wish.key)):
        if path is not None:
            tls[key] = os.path.abspath(path)
    if wish.pin is not None:
        tls["pin"] = wish.pin
    if tls:
        section["tls"] = tls
    if wish.ports is not None:
        section["local_ports"] = [_port(item) for item in wish.ports.split(",")]
    if wish.local:
        section["mappings"] = [
            {"local": _port(local), "remote": _port(remote)}
            for local, remote in zip(wish.local, wish.remote, strict=True)
        ]
    return section


def config_of(section: Mapping[str, Any], token: str) -> ClientConfig:
    """Return what the file will mean. Raises ConfigError in the words of the command line."""
    whole = {**section, "token": token}
    if "local_ports" not in whole and "mappings" not in whole:
        whole["mappings"] = [{"local": 1, "remote": 1}]  # what is to be published is for later, and for a person
    return validated(whole, PROGRAM, WORDS)


def config_text(section: Mapping[str, Any], token_file: str) -> str:
    """Return the file. Values are written as JSON, which YAML contains and which it can read in one way only."""
    lines = [
        f"# Written by `{PROGRAM}`; `gotunnel check` says what it does.",
        "client:",
        f"  name: {_written(section['name'])}",
        f"  token_file: {_written(token_file)}",
        f"  server_addr: {_written(section['server_addr'])}",
    ]
    if "tls" in section:
        lines += ["  tls:", *(f"    {key}: {_written(value)}" for key, value in section["tls"].items())]
    if "local_ports" in section:
        lines.append(f"  local_ports: {_written(section['local_ports'])}")
    if "mappings" in section:
        lines += ["  mappings:", *(f"    - {_written(mapping)}" for mapping in section["mappings"])]
    if "local_ports" not in section and "mappings" not in section:
        lines += [
            "  # What to publish: take the # away, and put your own service and a port of the server's in.",
            "  # mappings:",
            "  #   - {name: web, local: 8000, remote: 18000}",
        ]
    return "\n".join(lines) + "\n"


def _port(text: str) -> int | str:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else text


def _written(value: object) -> str:
    return json.dumps(value).replace("${", "$${")
