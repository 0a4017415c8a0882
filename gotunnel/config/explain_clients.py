"""What `gotunnel check` says of the clients that have tokens of their own: names and rights, never a secret."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from gotunnel.config.clients import ClientLimitsConfig, IdentityConfig, RightsConfig
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.server import ServerConfig

__all__ = ["explain_clients"]


def explain_clients(server: ServerConfig, filed: Iterable[FileIdentity]) -> list[str]:
    """Return one line for each, those of the configuration first, then those of the clients file."""
    lines = [_line(server, client, client.name, _tokens(client)) for client in server.clients]
    return lines + [_line(server, client, client.name, _keys(client)) for client in filed]


def _line(server: ServerConfig, rights: RightsConfig, name: str, held: str) -> str:
    if rights.disabled:
        return f"server: client {name} is kept out: it is disabled"
    if not held:
        return f"server: client {name} is kept out: it is revoked"
    ports = server.allow_ports if rights.allow_ports is None else rights.allow_ports
    may = [f"may publish the ports {', '.join(map(str, ports))}"]
    if rights.allow_bind is not None:
        may[0] += f" on {' and '.join(rights.allow_bind)} only"
    if rights.allow_dial is not None:
        reach = ", ".join(map(str, rights.allow_dial)) or "nothing"
        may.append(f"may reach {reach} by forwards")
    if rights.allow_groups is not None:
        may.append(f"may publish in the groups {', '.join(rights.allow_groups) or '(none)'}")
    limits = _limits(rights.limits)
    return f"server: client {name} has {held}; {', '.join(may)}{f'; has at most {limits}' if limits else ''}"


def _tokens(client: IdentityConfig) -> str:
    held = "a token of its own" if len(client.token) == 1 else "two tokens of its own"
    return held if client.token_file is None else f"{held} from {client.token_file}"


def _keys(client: FileIdentity) -> str:
    held = [[], ["a token of its own"], ["two tokens of its own"]][len(client.keys)]
    if client.join is not None:
        held = [*held, f"a one-time token{_until(client.join.expires)}"]
    return " and ".join(held) + _until(client.expires) if held else ""


def _until(expires: float | None) -> str:
    if expires is None:
        return ""
    return f", until {datetime.fromtimestamp(expires, timezone.utc):%Y-%m-%d %H:%M} UTC"


def _limits(limits: ClientLimitsConfig) -> str:
    found = limits.model_dump(exclude_none=True)
    return ", ".join(f"{number} {what if what != 'pending' else 'waiting visitors'}" for what, number in found.items())
