"""`gotunnel client add`, `revoke` and `rotate`: changes the clients file of a server, which takes them up while it
runs. Talks to no server."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import SecretBytes, ValidationError

from gotunnel.cli.clientlist import as_json, as_table, rows, utc
from gotunnel.cli.joinline import Place, join_line, place_of
from gotunnel.cli.words import problems
from gotunnel.config import tokens
from gotunnel.config.identitychange import Change, added, at_once, dropped, forgotten, revoked, rotated
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import CLIENTS_FILE, FileIdentity, JoinConfig, load_clients
from gotunnel.config.load import load_server
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError, Problem
from gotunnel.net.certificates import spki_pin
from gotunnel.net.owncert import OWN_FILE
from gotunnel.server.identity import server_pair
from gotunnel.tap.exits import one_line_errors
from gotunnel.tap.role import state_folder
from gotunnel.wire.handshake import derive_key

__all__ = ["Chosen", "TokenWish", "add_client", "drop_old", "list_clients", "revoke_client", "rotate_client"]

PROGRAM = "gotunnel client"
WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "NAME",
    ("allow_ports",): "--ports",
    ("allow_bind",): "--bind",
    ("expires",): "--ttl",
}
JOIN_TTL = 24 * 3600.0
"""Seconds that a printed join token is valid unless --ttl says otherwise, as kubeadm has it."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which server is meant: its configuration file and its state folder (None: the default)."""

    config: str
    state: str | None


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What kind of token is wanted, and how it is told. `one_time` None: as `print_join` says."""

    ttl: str | None = None
    one_time: bool | None = None
    print_join: bool = False
    server: str | None = None
    pin: bool = True
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Site:
    """A server as its files describe it."""

    config: ServerConfig
    state: Path
    file: Path

    def edit(self, change: Change) -> None:
        edit_clients(self.file, change)

    def refuse_configured(self, name: str) -> None:
        """Raise ConfigError for a client that the configuration itself holds: it is not ours to change."""
        if any(client.name == name for client in self.config.clients):
            what = f"the client {name} stands in the configuration"
            raise ConfigError([Problem(PROGRAM, None, "server.clients", what, "change it there")])


@dataclass(frozen=True, slots=True)
class _Token:
    """A token just made. It is told once; what is kept of it is `key` or `join`."""

    secret: str
    key: bytes | None
    join: JoinConfig | None
    expires: float | None


def add_client(
    chosen: Chosen, name: str, ports: str | None, binds: tuple[str, ...], wish: TokenWish
) -> None:
    """Make a client and tell its token. Raises SystemExit when that is impossible."""
    with one_line_errors(PROGRAM):
        site = _site(chosen)
        site.refuse_configured(name)
        values: dict[str, Any] = {"name": name}
        if ports is not None:
            values["allow_ports"] = [part.strip() for part in ports.split(",")]
        if binds:
            values["allow_bind"] = list(binds)
        _validated({**values, "keys": ()})  # so that no key is derived of a name that is none
        place, token = _place(site, wish), _made(site, name, wish)
        if token.key is not None:
            values |= {"keys": (SecretBytes(token.key),), "expires": token.expires}
        else:
            values |= {"keys": (), "join": token.join}
        site.edit(added(_validated({key: value for key, value in values.items() if value is not None})))
        _tell(site, name, token, place, wish)


def rotate_client(chosen: Chosen, name: str, wish: TokenWish, *, now: bool) -> None:
    """Give a client another token and tell it; `now` ends the old one at once. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        site = _site(chosen)
        site.refuse_configured(name)
        place, token = _place(site, wish), _made(site, name, wish)
        if token.join is None and token.expires is not None:
            what = "is for a token to join with, or for a new client"
            raise ConfigError([Problem(PROGRAM, None, "--ttl", what, "add --one-time, or leave it out")])
        site.edit((at_once if now else rotated)(name, token.key, token.join))
        _tell(site, name, token, place, wish)


def drop_old(chosen: Chosen, name: str) -> None:
    """End the older one of two tokens. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        site = _site(chosen)
        site.refuse_configured(name)
        site.edit(dropped(name))
    click.echo(f"The older token of {name} opens nothing any more; a running server knows within a second.", err=True)


def revoke_client(chosen: Chosen, name: str, *, forget: bool) -> None:
    """Shut a client out. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        site = _site(chosen)
        site.refuse_configured(name)
        site.edit((forgotten if forget else revoked)(name))
    click.echo(f"The client {name} is shut out; a running server disconnects it within a second.", err=True)
    if not forget:
        return
    if site.config.token is not None:
        click.echo(f"Its name is free: whoever has the shared server.token may be {name} now.", err=True)


def list_clients(chosen: Chosen, *, json_wanted: bool) -> None:
    """Print all clients. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        site = _site(chosen)
        found = rows(site.config, load_clients(site.file) if site.file.exists() else (), site.file, time.time())
    if json_wanted:
        click.echo(as_json(found))
    elif found:
        for line in as_table(found):
            click.echo(line)
    else:
        click.echo(f"There is no client yet; `gotunnel client add NAME` makes one in {site.file}.", err=True)


def _site(chosen: Chosen) -> _Site:
    config = load_server(chosen.config, clients_elsewhere=True)
    state = state_folder(chosen.state)
    return _Site(config, state, config.clients_file or state / CLIENTS_FILE)


def _place(site: _Site, wish: TokenWish) -> Place | None:
    return place_of(site.config, wish.server, PROGRAM) if wish.print_join else None


def _made(site: _Site, name: str, wish: TokenWish) -> _Token:
    plain = site.config.tls.mode == "off"
    one_time = (wish.print_join and not plain) if wish.one_time is None else wish.one_time
    if one_time and plain:
        what = "a one-time token is exchanged inside TLS only, and server.tls.mode is off"
        raise ConfigError([Problem(PROGRAM, None, "--one-time", what, "leave it out")])
    seconds = JOIN_TTL if wish.ttl is None and one_time else None if wish.ttl is None else _seconds(wish.ttl)
    expires = None if seconds is None else float(int(time.time() + seconds))
    secret = tokens.new_token()
    key = derive_key(secret, name)
    if one_time:
        return _Token(secret, None, JoinConfig.model_validate({"key": SecretBytes(key), "expires": expires}), expires)
    return _Token(secret, key, None, expires)


def _tell(site: _Site, name: str, token: _Token, place: Place | None, wish: TokenWish) -> None:
    line = pin = None
    if place is not None:
        pin = _pin(site) if wish.pin else None
        line = join_line(token.secret, place.address, name, pin=pin, plain=site.config.tls.mode == "off")
    if wish.as_json:
        facts = {
            "name": name, "token": token.secret, "one_time": token.join is not None,
            "expires": None if token.expires is None else utc(token.expires), "join": line, "file": str(site.file),
        }  # fmt: skip
        click.echo(json.dumps(facts))
        return
    # What a pipe or a file is to get goes to standard output, and nothing else does.
    click.echo(token.secret if line is None else line)
    until = "" if token.expires is None else f" until {utc(token.expires)}"
    if place is not None:
        if place.note:
            click.echo(f"Note: {place.note}.", err=True)
        if wish.pin and pin is None and site.config.tls.mode != "off":
            click.echo(f"Note: no --pin, as no server has run with the state folder {site.state} yet.", err=True)
        click.echo("Paste this line on the other machine; --ports 8000 behind it publishes its port 8000.", err=True)
    if token.join is not None:
        click.echo(f"Its token serves once{until}, for `gotunnel join`; it is not shown again.", err=True)
    else:
        click.echo(f"This token is not shown again; it is valid{until or ' until it is revoked'}.", err=True)
    click.echo(f"The client {name} is in {site.file}, which a running server looks at twice a second.", err=True)
    if sys.stdout.isatty() and line is None:
        click.echo("Keep it in a file of mode 0600: token_file of the client names that file.", err=True)


def _pin(site: _Site) -> str | None:
    """Return the pin of the key that the server shows, None if it has none yet: to make one is for the server, which is
    to be its owner. Raises TlsFilesError."""
    tls = site.config.tls
    if tls.mode == "off" or (tls.cert is None and not (site.state / OWN_FILE).exists()):
        return None
    return spki_pin(server_pair(tls, site.state).leaf)


def _validated(values: dict[str, Any]) -> FileIdentity:
    try:
        return FileIdentity.model_validate(values)
    except ValidationError as error:
        raise ConfigError(problems(error, PROGRAM, WORDS)) from None


def _seconds(text: str) -> float:
    parts = re.fullmatch(r"(?:\d{1,6}[smhdw])+", text.strip())
    total = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text)) if parts else 0
    if not 1 <= total <= 10 * 366 * 86_400:
        cure = "write a time like 30m, 24h or 7d, at most ten years"
        raise ConfigError([Problem(PROGRAM, None, "--ttl", f"{text[:40]!r} is no such time", cure)])
    return float(total)
