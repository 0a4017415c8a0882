"""gotunnel as a subject: with TLS legs and plain ones, with the fast relay and the portable one, as far as this tree's
configuration knows them."""

from __future__ import annotations

import json
import secrets
import sys
import typing
from pathlib import Path
from typing import Any

from bench.process import ROOT, python_environment
from bench.subject import Place, Role, Subject
from gotunnel import __version__
from gotunnel.config.model import ClientConfig, ServerConfig

__all__ = ["entry", "ours", "relays", "roles"]

_LIMITS = {
    "legs": 20_000,
    "visitors": 20_000,
    "pending": 4_096,
    # All visitors of a run come from one address, and so do all legs.
    "unauthenticated": 4_096,
    "unauthenticated_per_address": 4_096,
}


def relays(model: Any) -> list[str]:
    """Return the values that the `relay` key of a section may have; none where there is no such key."""
    known = model.model_fields.get("relay")
    found = [] if known is None else _literals(known.annotation)
    return [str(value) for value in found]


def _literals(annotation: Any) -> list[Any]:
    """Return the values of a Literal, also inside of Annotated and unions."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [value for part in typing.get_args(annotation) for value in _literals(part)]


def entry(role: str) -> list[str]:
    """Return the command that the console script of a role is."""
    start = f"from gotunnel.cli.roles import {role}; {role}(prog_name='gotunnel-{role}')"
    return [sys.executable, "-c", start]


def roles(place: Place, *, plain: bool, relay: str | None) -> list[Role]:
    """Write the two files and return the two commands."""
    token = secrets.token_hex(32)
    server: dict[str, Any] = {
        "addr": f"127.0.0.1:{place.control}", "token": token, "allow_plain_legs": plain, "limits": _LIMITS,
        "drain_timeout": 0.5,
    }  # fmt: skip
    client: dict[str, Any] = {
        "name": "bench", "token": token, "server_addr": f"127.0.0.1:{place.control}", "drain_timeout": 0.5,
        "mappings": [
            {
                "name": "bench",
                "local": f"127.0.0.1:{place.target}",
                "remote": f"127.0.0.1:{place.public}",
                "encrypt": not plain,
            }
        ],
    }  # fmt: skip
    for section, model in ((server, ServerConfig), (client, ClientConfig)):
        if relay is not None and relay in relays(model):
            section["relay"] = relay
    known = set(ServerConfig.model_fields["limits"].default.__class__.model_fields)
    server["limits"] = {key: value for key, value in _LIMITS.items() if key in known}
    env = python_environment()
    return [
        Role(
            "server",
            [*entry("server"), "-c", _write(place, "server", server), "--state", place.folder / "server"],
            place.control,
            says="server listening for clients",
            env=env,
        ),
        Role(
            "client",
            [*entry("client"), "-c", _write(place, "client", client), "--state", place.folder / "client"],
            place.public,
            says="mapping bench open",
            env=env,
        ),
    ]


def _write(place: Place, role: str, section: dict[str, Any]) -> Path:
    path = place.folder / f"{role}.yaml"
    path.write_text(json.dumps({role: section}))  # YAML contains JSON
    path.chmod(0o600)
    return path


def _version() -> str:
    head = ROOT / ".git" / "HEAD"
    if not head.is_file():
        return __version__
    name = head.read_text().strip().removeprefix("ref: ")
    commit = ROOT / ".git" / name
    return f"{__version__} ({commit.read_text()[:10]})" if commit.is_file() else __version__


def ours() -> list[Subject]:
    """Return what this tree can be run as. Without a choice of relays, its only one is measured once."""
    known = set(relays(ServerConfig)) & set(relays(ClientConfig))
    first = "fast" if "fast" in known else None

    def made(name: str, label: str, plain: bool, relay: str | None) -> Subject:
        return Subject(
            name, label, lambda place: roles(place, plain=plain, relay=relay), version=_version, notes=relay or ""
        )

    found = [
        made("tls", "gotunnel, TLS legs", False, first),
        made("plain", "gotunnel, plain legs", True, first),
    ]
    if first is not None:
        found += [
            made("tls-portable", "gotunnel, TLS, portable relay", False, "portable"),
            made("plain-portable", "gotunnel, plain, portable relay", True, "portable"),
        ]
    return found
