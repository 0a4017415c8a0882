"""The lines of `gotunnel check` about clients with tokens of their own: names and rights, never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

from gotunnel.config.clients import IdentityConfig, RightsConfig
from gotunnel.config.explain_words import CLIENT, all_of, listed
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.server import ServerConfig
from gotunnel.errors import Sentence

__all__ = ["explain_clients", "limits_said"]


LIMITS = {
    "mappings": "{number} mappings", "legs": "{number} legs", "visitors": "{number} visitors",
    "pending": "{number} waiting visitors",
}  # fmt: skip
"""The words for each limit."""
HELD = ("", "a token of its own", "two tokens of its own")


def explain_clients(server: ServerConfig, filed: Iterable[FileIdentity]) -> list[list[str]]:
    """Return the parts of one line per client: first those in the configuration, then those in the clients file."""
    lines = [_line(server, client, client.name, _tokens(client)) for client in server.clients]
    return lines + [_line(server, client, client.name, _keys(client)) for client in filed]


def _line(server: ServerConfig, rights: RightsConfig, name: str, held: str) -> list[str]:
    if rights.disabled:
        return [Sentence("{what} {name} was refused: it is disabled", what=CLIENT, name=name)]
    if not held:
        return [Sentence("{what} {name} was refused: it is revoked", what=CLIENT, name=name)]
    ports = listed(server.allow_ports if rights.allow_ports is None else rights.allow_ports)
    may: list[str] = [Sentence("may publish the ports {ports}", ports=ports)]
    if rights.allow_bind is not None:
        may[0] = Sentence("{may} on {addresses} only", may=may[0], addresses=all_of(rights.allow_bind))
    if rights.allow_udp_ports is not None:
        ports = listed(rights.allow_udp_ports)
        may.append(Sentence("may publish the ports {ports} for UDP", ports=ports) if ports
                   else "may publish no port for UDP")  # fmt: skip
    if rights.allow_dial is not None:
        reach = listed(rights.allow_dial)
        may.append(Sentence("may reach {targets} by forwards", targets=reach) if reach
                   else "may reach nothing by forwards")  # fmt: skip
    if rights.allow_nodes is not None:
        nodes = listed(rights.allow_nodes)
        may.append(Sentence("may announce the nodes {nodes}", nodes=nodes) if nodes else "may announce no nodes")
    if rights.allow_groups is not None:
        groups = listed(rights.allow_groups)
        may.append(Sentence("may publish in the groups {groups}", groups=groups) if groups
                   else "may publish in the groups (none)")  # fmt: skip
    who = Sentence("{what} {name} has {held}", what=CLIENT, name=name, held=held)
    limits = limits_said(rights.limits.model_dump(exclude_none=True))
    most = Sentence("has at most {limits}", limits=limits) if limits else ""
    return [Sentence.joined("; ", (who, Sentence.joined(", ", may), most))]


def _tokens(client: IdentityConfig) -> str:
    file = client.token_file
    if file is None:
        return Sentence.word(HELD[min(len(client.token), 2)])
    if len(client.token) == 1:
        return Sentence("a token of its own from {file}", file=file)
    return Sentence("two tokens of its own from {file}", file=file)


def _keys(client: FileIdentity) -> str:
    held: list[str] = [Sentence.word(HELD[len(client.keys)])] if client.keys else []
    if client.join is not None:
        held.append(_until(Sentence("a one-time token"), client.join.expires))
    return _until(all_of(held), client.expires) if held else ""


def _until(held: str, expires: float | None) -> str:
    if expires is None:
        return held
    return Sentence("{held}, until {when:%Y-%m-%d %H:%M} UTC", held=held,
                    when=datetime.fromtimestamp(expires, timezone.utc))  # fmt: skip


def limits_said(limits: Mapping[str, int]) -> Sentence:
    """Return limits in words, by their names in ClientLimitsConfig; empty without any."""
    return Sentence.joined(", ", (Sentence(LIMITS[what], number=number) for what, number in limits.items()))
