"""`gotunnel client add`, `revoke` and `rotate`: change the clients file of a server, which applies the changes while it
runs. A token is shown once, when it is made."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
from pydantic import SecretBytes, ValidationError

from gotunnel.cli.clientlist import utc
from gotunnel.cli.joinline import join_line, place_of, transport_words
from gotunnel.cli.saying import say
from gotunnel.cli.site import PROGRAM, Site
from gotunnel.cli.transport import transport_section
from gotunnel.config import tokens
from gotunnel.config.identitychange import added, at_once, dropped, forgotten, revoked, rotated
from gotunnel.config.identityfile import FileIdentity, JoinConfig
from gotunnel.config.words import problems
from gotunnel.core.ports import PortSet
from gotunnel.errors import ConfigError, GotunnelError, Problem, Sentence
from gotunnel.tap.exits import one_line_errors
from gotunnel.wire.handshake import derive_key

__all__ = ["RightsWish", "TokenWish", "add_client", "drop_old", "revoke_client", "rotate_client"]

WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "NAME",
    ("allow_ports",): "--ports",
    ("allow_udp_ports",): "--udp-ports",
    ("allow_bind",): "--bind",
    ("allow_dial",): "--dial",
    ("allow_nodes",): "--node",
    ("allow_groups",): "--group",
}
JOIN_TTL = 24 * 3600.0
"""Seconds that a one-time token is valid without --ttl, as with kubeadm."""
LONGEST_TTL = 10 * 366 * 86_400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class RightsWish:
    """What a new client may do. Anything not given is as the server has it for all clients."""

    ports: str | None = None
    bind: tuple[str, ...] = ()
    dial: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    udp_ports: str | None = None


@dataclass(frozen=True, slots=True)
class TokenWish:
    """Which kind of token is wanted, and how it is shown. If `one_time` is None, the token is one-time with
    `print_join`."""

    ttl: str | None = None
    one_time: bool | None = None
    print_join: bool = False
    server: str | None = None
    transport: str | None = None
    options: tuple[str, ...] = ()
    """The transport's options, each as KEY=VALUE."""
    pin: bool = True
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    """A new token, and everything to print about it. The clients file stores `key` or `join`."""

    secret: str
    key: bytes | None
    join: JoinConfig | None
    expires: float | None
    line: str | None
    notes: tuple[str, ...]


def add_client(site: tuple[str, str | None], name: str, rights: RightsWish, wish: TokenWish) -> None:
    """Create a client and show its token. `site` holds the arguments of Site.at. Raises SystemExit if that fails."""
    with one_line_errors(PROGRAM):
        where = Site.at(*site)
        values: dict[str, Any] = {"name": name, "keys": ()}
        for key, ports in (("allow_ports", rights.ports), ("allow_udp_ports", rights.udp_ports)):
            if ports is not None:
                values[key] = [part.strip() for part in ports.split(",")]
        lists = {
            "allow_bind": rights.bind, "allow_dial": rights.dial, "allow_nodes": rights.nodes,
            "allow_groups": rights.groups,
        }  # fmt: skip
        values |= {key: list(items) for key, items in lists.items() if items}
        said = _validated(values)  # first, so that no key is derived from an invalid name
        allowed = where.config.allow_ports if said.allow_ports is None else said.allow_ports
        token = _made(where, name, wish, PortSet.parse(allowed))
        if token.key is None:
            values["join"] = token.join
        else:
            values["keys"] = (SecretBytes(token.key),)
            if token.expires is not None:
                values["expires"] = token.expires
        where.edit(name, added(_validated(values)))
        _tell(where, name, token, wish)


def rotate_client(site: tuple[str, str | None], name: str, wish: TokenWish, *, now: bool) -> None:
    """Give a client another token and show it; with `now` the old one ends at once. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        where = Site.at(*site)
        token = _made(where, name, wish)
        change = at_once if now else rotated
        expires = token.expires if token.join is None else None
        where.edit(name, change(name, token.key, token.join, time.time(), expires))
        _tell(where, name, token, wish)
    if not wish.as_json:
        kept = Sentence("The old token stays valid until the new one is used for the first time.")
        say(Sentence("The old token does not work any more.") if now else kept, err=True)


def drop_old(site: tuple[str, str | None], name: str) -> None:
    """End the older of two tokens. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        Site.at(*site).edit(name, dropped(name))
    said = Sentence("The older token of {name} does not work any more; a running server notices within a second.",
                    name=name)  # fmt: skip
    say(said, err=True)


def revoke_client(site: tuple[str, str | None], name: str, *, forget: bool) -> None:
    """Shut a client out. Raises SystemExit."""
    with one_line_errors(PROGRAM):
        where = Site.at(*site)
        where.edit(name, (forgotten if forget else revoked)(name))
    said = Sentence("The client {name} is revoked; a running server disconnects it within a second.", name=name)
    say(said, err=True)
    if forget and where.config.token is not None:
        say(Sentence("Its name is free: whoever has the shared server.token can use {name} now.", name=name), err=True)


def _made(site: Site, name: str, wish: TokenWish, ports: PortSet | None = None) -> _Token:
    """Make a token and every text about it, because nothing may fail after the file has changed. `ports` are those that
    a new client may publish; None means that the client exists already, with a configuration of its own."""
    one_time = (wish.print_join and not site.plain) if wish.one_time is None else wish.one_time
    if one_time and site.plain:
        what = "is for TLS alone, inside of which a lasting token is sent, and server.tls.mode is off"
        raise ConfigError([Problem(PROGRAM, None, "--one-time", what, "leave it out")])
    seconds = JOIN_TTL if wish.ttl is None and one_time else None if wish.ttl is None else _seconds(wish.ttl)
    expires = None if seconds is None else float(int(time.time() + seconds))
    secret = tokens.new_token()
    key = derive_key(secret, name)
    line, notes = _line(site, name, secret, wish, ports) if wish.print_join else (None, ())
    if site.fresh:
        fresh = Sentence("Note: no server has run with the state folder {folder} yet; if yours uses "
                         "another, name it with --state.",
                         folder=site.state)  # fmt: skip
        notes = (fresh, *notes)
    if one_time:
        join = JoinConfig.model_validate({"key": SecretBytes(key), "expires": expires})
        return _Token(secret, None, join, expires, line, notes)
    return _Token(secret, key, None, expires, line, notes)


def _line(
    site: Site, name: str, secret: str, wish: TokenWish, ports: PortSet | None
) -> tuple[str, tuple[str, ...]]:
    place = place_of(site.config, wish.server, PROGRAM)
    notes = [Sentence("Note: {note}.", note=place.note)] if place.note else []
    pin = site.pin() if wish.pin else None
    if ports is None:
        notes.append(Sentence("Paste this line on the other machine; it keeps the configuration there."))
    elif not ports:
        notes.append(Sentence("Paste this line on the other machine. This client may publish no ports."))
    else:
        port = 8000 if 8000 in ports else ports.ranges[0][0]
        notes.append(Sentence(
            "Paste this line on the other machine; with --ports {port} appended it publishes its port {port}.",
            port=port
        ))
    way = transport_section(wish.transport, wish.options, PROGRAM)
    words = () if way is None else transport_words(way["plugin"], wish.options)
    renew = ports is None
    line = join_line(secret, place.address, name, pin=pin, plain=site.plain, renew=renew, more=words)
    return line, tuple(notes)


class _NotTold(GotunnelError):
    """The client has been created, and its token is lost."""


def _tell(site: Site, name: str, token: _Token, wish: TokenWish) -> None:
    try:
        _print(site, name, token, wish)
    except OSError as failed:
        cure = f"`gotunnel client rotate {name} --at-once` makes another"
        raise _NotTold(Sentence(
            "the token of {name} could not be printed: {strerror}; {cure}",
            name=name, strerror=failed.strerror, cure=cure,
        )) from None


def _print(site: Site, name: str, token: _Token, wish: TokenWish) -> None:
    if wish.as_json:
        facts = {
            "name": name, "token": token.secret, "one_time": token.join is not None,
            "expires": None if token.expires is None else utc(token.expires), "join": token.line,
            "file": str(site.file),
        }  # fmt: skip
        click.echo(json.dumps(facts))
        return
    # Only what a pipe or a file is meant to receive goes to standard output.
    click.echo(token.secret if token.line is None else token.line)
    for note in token.notes:
        say(note, err=True)
    say(_validity(token), err=True)
    there = Sentence("The client {name} is in {file}, which a running server checks twice a second.", name=name,
                     file=site.file)  # fmt: skip
    say(there, err=True)


def _validity(token: _Token) -> Sentence:
    """Say how long a token is valid, and for what."""
    when = None if token.expires is None else utc(token.expires)
    if token.join is not None and when is None:
        return Sentence("Its token can be used once, by `gotunnel join`; it is not shown again.")
    if token.join is not None:
        return Sentence("Its token can be used once until {when}, by `gotunnel join`; it is not shown again.",
                        when=when)
    if when is None:
        return Sentence("This token is valid until it is revoked; it is not shown again.")
    return Sentence("This token is valid until {when}; it is not shown again.", when=when)


def _validated(values: dict[str, Any]) -> FileIdentity:
    try:
        return FileIdentity.model_validate(values)
    except ValidationError as error:
        raise ConfigError(problems(error, PROGRAM, WORDS)) from None


def _seconds(text: str) -> float:
    parts = re.findall(r"(\d+)([smhdw])", text) if re.fullmatch(r"(?:\d{1,6}[smhdw])+", text, re.ASCII) else []
    total = sum(int(number) * UNITS[unit] for number, unit in parts)
    if not 1 <= total <= LONGEST_TTL:
        cure = "write a time like 30m, 24h or 7d, ten years at most"
        raise ConfigError([Problem(PROGRAM, None, "--ttl", f"{text[:40]!r} is not such a time", cure)])
    return float(total)
