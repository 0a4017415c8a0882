"""`gotunnel client list`: all clients with tokens of their own, from the configuration and from the clients file, as a
table or as JSON. Shows no key."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import click
from rich.cells import cell_len

from gotunnel.cli.saying import say
from gotunnel.cli.site import PROGRAM, Site
from gotunnel.config.clients import ClientLimitsConfig, IdentityConfig, RightsConfig
from gotunnel.config.explain_clients import limits_said
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import ServerConfig
from gotunnel.errors import Sentence
from gotunnel.i18n.language import ENGLISH, Language, of_environment
from gotunnel.tap.exits import one_line_errors

__all__ = ["Row", "as_json", "as_table", "list_clients", "rows", "utc"]

TITLES = ("NAME", "STATE", "PORTS", "ADDRESSES", "DIAL", "NODES", "GROUPS", "TOKENS", "FROM")
LIMITS_AT = TITLES.index("TOKENS")
"""Where the column of limits is. It is there only if a client has limits of its own."""
STATES = ("active", "joining", "expired", "revoked", "disabled")


@dataclass(frozen=True, slots=True)
class Row:
    """One client. Times are UTC in ISO 8601."""

    name: str
    state: str
    """One of STATES."""
    allow_ports: list[int | str]
    allow_bind: list[str] | None
    allow_dial: list[str]
    allow_nodes: list[str]
    allow_groups: list[str]
    tokens: int
    """The number of lasting tokens; two while one replaces the other."""
    join_token: str | None
    """"valid" or "expired", if there is an unused one-time token."""
    join_expires: str | None
    expires: str | None
    source: str
    allow_udp_ports: tuple[int | str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    own_limits: dict[str, int] = field(default_factory=dict)
    """Those of `limits` that differ from the server's."""

    def words(self) -> tuple[str, ...]:
        """Return the cells of the table. Cells that have to be translated are Sentences."""
        state = Sentence.word(self.state)
        if self.expires is not None and self.state == "expired" and self.tokens:
            state = Sentence("{state} (since {when})", state=state, when=self.expires)
        elif self.expires is not None:
            state = Sentence("{state} (until {when})", state=state, when=self.expires)
        any_, none = Sentence("any"), Sentence("none")
        ports, binds = ", ".join(map(str, self.allow_ports)), ", ".join(self.allow_bind or ()) or any_
        if self.allow_udp_ports:
            ports += ", " + ", ".join(f"{port}/udp" for port in self.allow_udp_ports)
        lists = (", ".join(names) or none for names in (self.allow_dial, self.allow_nodes, self.allow_groups))
        return self.name, state, ports, binds, *lists, self._held(), self.source

    def _held(self) -> str:
        """Return the number of tokens, and whether there is a one-time token."""
        count, when = self.tokens, self.join_expires
        if self.join_token is None:
            return str(count)
        if self.join_token != "valid":  # noqa: S105 - a word for a list
            return Sentence("{count}, and an expired one-time token", count=count)
        if when is None:
            return Sentence("{count}, and a one-time token", count=count)
        return Sentence("{count}, and a one-time token until {when}", count=count, when=when)


def list_clients(site: tuple[str, str | None], *, json_wanted: bool) -> None:
    """Print all clients; `site` holds the arguments of Site.at. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        where = Site.at(*site)
        found = rows(where.config, where.clients(), where.file, time.time())
    if json_wanted:
        click.echo(as_json(found))
    elif found:
        for line in as_table(found, of_environment()):
            click.echo(line)
    else:
        none = Sentence("There is no client yet; `gotunnel client add NAME` makes one in {file}.", file=where.file)
        say(none, err=True)


def rows(config: ServerConfig, clients: Iterable[FileIdentity], file: Path, now: float) -> list[Row]:
    """Return all clients, sorted by name; `now` is in Unix seconds."""
    found = [_of_config(config, client) for client in config.clients]
    found += [_of_file(config, client, str(file), now) for client in clients]
    return sorted(found, key=lambda row: row.name)


def as_table(found: Sequence[Row], said: Language = ENGLISH) -> list[str]:
    """Return the lines of a table, in a language."""
    cells = [[said.sentence(title) for title in TITLES]]
    cells += [[said.sentence(cell) if isinstance(cell, Sentence) else cell for cell in row.words()] for row in found]
    if any(row.own_limits for row in found):
        limits = (Sentence("LIMITS"), *(limits_said(row.own_limits) for row in found))
        for line, cell in zip(cells, map(said.sentence, limits), strict=True):
            line.insert(LIMITS_AT, cell)
    widths = [max(cell_len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(map(_padded, line, widths)).rstrip() for line in cells]


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def as_json(found: Iterable[Row]) -> str:
    """Return an array of objects as text."""
    shown = [{key: value for key, value in asdict(row).items() if key != "own_limits"} for row in found]
    return json.dumps(shown, indent=1)


def utc(when: float) -> str:
    """Return Unix seconds as UTC in ISO 8601."""
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_config(config: ServerConfig, client: IdentityConfig) -> Row:
    state = "disabled" if client.disabled else "active"
    return Row(client.name, state, *_rights(config, client), len(client.token), None, None, None,
               Sentence("the configuration"), _udp(config, client), *_limits(config, client))  # fmt: skip


def _of_file(config: ServerConfig, client: FileIdentity, file: str, now: float) -> Row:
    join, expires = client.join, client.expires
    join_over = join is not None and join.expires is not None and now >= join.expires
    if client.disabled:
        state = "disabled"
    elif not client.keys and join is None:
        state = "revoked"
    elif expires is not None and now >= expires:
        state = "expired"
    elif client.keys or (join is not None and join.next is not None):
        state = "active"
    else:
        state = "expired" if join_over else "joining"
    return Row(
        client.name, state, *_rights(config, client), len(client.keys),
        None if join is None else "expired" if join_over else "valid",
        None if join is None or join.expires is None else utc(join.expires),
        None if expires is None else utc(expires),
        file, _udp(config, client), *_limits(config, client),
    )  # fmt: skip


def _rights(
    config: ServerConfig, client: RightsConfig
) -> tuple[list[int | str], list[str] | None, list[str], list[str], list[str]]:
    ports = config.allow_ports if client.allow_ports is None else client.allow_ports
    binds = None if client.allow_bind is None else list(client.allow_bind)
    dial = config.allow_dial if client.allow_dial is None else client.allow_dial
    nodes = config.allow_nodes if client.allow_nodes is None else client.allow_nodes
    groups = config.allow_groups if client.allow_groups is None else client.allow_groups
    return list(ports), binds, list(dial), list(nodes), list(groups)


def _udp(config: ServerConfig, client: RightsConfig) -> tuple[int | str, ...]:
    return config.allow_udp_ports if client.allow_udp_ports is None else client.allow_udp_ports


def _limits(config: ServerConfig, client: RightsConfig) -> tuple[dict[str, int], dict[str, int]]:
    """Return the limits of a client, and those of them that differ from the server's."""
    shared = {name: getattr(config.limits, name) for name in ClientLimitsConfig.model_fields}
    limits = {**shared, **client.limits.model_dump(exclude_none=True)}
    return limits, {name: limit for name, limit in limits.items() if limit != shared[name]}
