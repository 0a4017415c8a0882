"""gotunnel as a subject: with TLS legs and plain ones, and with each relay that this tree has and that can run here."""

from __future__ import annotations

import json
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import Any

from bench.process import ROOT, python_environment
from bench.subject import Place, Role, Subject
from gotunnel import __version__
from gotunnel.config.model import ServerConfig
from gotunnel.errors import GotunnelError
from gotunnel.net.choice import check_relay

__all__ = ["entry", "ours", "relays", "roles"]

_LIMITS = {
    "legs": 20_000,
    "visitors": 20_000,
    "pending": 4_096,
    # All visitors of a run come from one address, and so do all legs.
    "unauthenticated": 4_096,
    "unauthenticated_per_address": 4_096,
}


def relays() -> list[str]:
    """Return the relays of this tree that can run here, the one first that is taken by itself; none where there is no
    choice."""
    found = []
    for name in ("native", "fast", "portable"):
        try:
            section = ServerConfig.model_validate({"token": secrets.token_hex(32), "relay": name})
            check_relay(section.relay)
        except (ValueError, GotunnelError):  # not known, or not to be had here
            continue
        found.append(name)
    return found


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
    if relay is not None:
        server["relay"] = client["relay"] = relay
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
    """Return what this tree can be run as: with the relay that it takes by itself, with the portable one, and on
    request with others. Without a choice of relays, its only one is measured once."""
    found = []
    for number, relay in enumerate(relays() or [None]):
        for name, label, plain in (("tls", "TLS", False), ("plain", "plain", True)):
            found.append(
                Subject(
                    f"{name}-{relay}" if number else name,
                    f"gotunnel, {label}, {relay} relay" if number else f"gotunnel, {label} legs",
                    partial(roles, plain=plain, relay=relay),
                    version=_version,
                    notes=relay or "",
                    on_request=number > 0 and relay != "portable",
                )
            )
    return found
