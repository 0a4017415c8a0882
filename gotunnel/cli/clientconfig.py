"""The configuration that `gotunnel join` makes: turns the words of the command line into a client's section and the
text of its file. Writes nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gotunnel.cli.transport import OPTION, transport_section
from gotunnel.config.model import ClientConfig
from gotunnel.config.words import validated
from gotunnel.errors import ConfigError, Problem, Sentence, printable

__all__ = ["PROGRAM", "Wish", "client_section", "config_of", "config_text", "with_paths"]

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
    ("transport",): "--transport",
    ("mappings", "local"): "--local",
    ("mappings", "remote"): "--remote",
}
"""The command line's words for the keys of a configuration."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. `remote` has one entry for each entry of `local`."""

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
    transport: str | None = None
    options: tuple[str, ...] = ()
    """The transport's options, each as KEY=VALUE."""


def client_section(wish: Wish) -> dict[str, Any]:
    """Return the `client:` section without its token. Raises ConfigError for contradictions."""
    if len(wish.local) != len(wish.remote):
        cure = "give each --local a --remote with its port on the server"
        raise ConfigError([Problem(PROGRAM, None, "--local", "and --remote must come in pairs", cure)])
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
        section["local_ports"] = [_own_port(item) for item in wish.ports.split(",")]
    if wish.local:
        section["mappings"] = [
            {"local": _port(local), "remote": _port(remote)}
            for local, remote in zip(wish.local, wish.remote, strict=True)
        ]
    transport = transport_section(wish.transport, wish.options, PROGRAM)
    if transport is not None:
        section["transport"] = transport
    return section


def config_of(section: Mapping[str, Any], token: str) -> ClientConfig:
    """Return what the file will mean. Raises ConfigError in terms of the command line."""
    whole = {**section, "token": token}
    if "local_ports" not in whole and "mappings" not in whole:
        whole["mappings"] = [{"local": 1, "remote": 1}]  # the user decides later what to publish
    more: dict[tuple[str, ...], str] = {
        ("transport", key): f"{OPTION} {key}" for key in section.get("transport", ()) if key != "plugin"
    }  # fmt: skip
    return validated(whole, PROGRAM, {**WORDS, **more})


def with_paths(section: Mapping[str, Any], config: ClientConfig) -> dict[str, Any]:
    """Return the section with absolute paths for the transport's files: on the command line they are relative to the
    current folder, not to the folder of the file that is written."""
    if config.transport is None:
        return dict(section)
    paths = {
        key: str(value) for key in section["transport"]
        if isinstance(value := getattr(config.transport.options, key, None), Path)
    }  # fmt: skip
    return {**section, "transport": {**section["transport"], **paths}}


def config_text(section: Mapping[str, Any], token_file: str) -> str:
    """Return the text of the file. Values are written as JSON, which is valid YAML with only one reading."""
    lines = [
        f"# Written by `{PROGRAM}`; `gotunnel check` says what it does.",
        "client:",
        f"  name: {_written(section['name'])}",
        f"  token_file: {_written(token_file)}",
        f"  server_addr: {_written(section['server_addr'])}",
    ]
    if "tls" in section:
        lines += ["  tls:", *(f"    {key}: {_written(value)}" for key, value in section["tls"].items())]
    if "transport" in section:
        lines += ["  transport:", *(f"    {key}: {_written(value)}" for key, value in section["transport"].items())]
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


def _own_port(text: str) -> int:
    """Return one of --ports. Raises ConfigError."""
    text = text.strip()
    number = _port(text)
    if isinstance(number, int):
        return number
    pair = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", text)
    local, remote = pair.groups() if pair else ("HOST:PORT", "PORT")
    what = Sentence("{value} is not a port number", value=repr(printable(text)))
    cure = Sentence(
        "write numbers from 1 to 65535; what is published under another number, or is on another host, needs "
        "--local {local} --remote {remote}", local=local, remote=remote,
    )  # fmt: skip
    raise ConfigError([Problem(PROGRAM, None, "--ports", what, cure)])


def _port(text: str) -> int | str:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else text


def _written(value: object) -> str:
    return json.dumps(value).replace("${", "$${")
