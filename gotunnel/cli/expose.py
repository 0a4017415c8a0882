"""`gotunnel expose`: publishes one local port until Ctrl-C, with a client that no file describes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from twisted.internet.task import LoopingCall

from gotunnel.cli.foreground import run
from gotunnel.cli.logoutput import begin_logging
from gotunnel.client.published import MappingStatus, Standing
from gotunnel.client.service import ClientService, make_client
from gotunnel.config.model import ClientConfig
from gotunnel.config.words import own_name, tls_section, validated
from gotunnel.errors import ConfigError, Problem
from gotunnel.i18n.language import of_environment
from gotunnel.tap.client import CLIENT
from gotunnel.tap.exits import FAILED, one_line_errors
from gotunnel.tap.role import Prepared, Role, state_folder

__all__ = ["Wish", "client_config", "expose_port", "token_of_server"]

PROGRAM = "gotunnel expose"

VARIABLE = "GOTUNNEL_TOKEN"

MAPPING = "exposed"

LOOK_SECONDS = 0.1
"""How often it is looked whether the mapping is open."""

WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "--name",
    ("server_addr",): "--server",
    ("token",): VARIABLE,
    ("tls", "ca"): "--tls-ca",
    ("tls", "pin"): "--pin",
    ("mappings", "local"): "PORT",
    ("mappings", "remote"): "--remote",
}
"""What the command line calls the keys of a configuration."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    local: str
    server: str
    remote: str | None = None
    name: str | None = None
    tls_ca: str | None = None
    plain: bool = False
    pin: str | None = None


def client_config(wish: Wish, token: str) -> ClientConfig:
    """Return the configuration that a file would have held. Raises ConfigError in the words of the command line."""
    remote = wish.remote if wish.remote is not None else wish.local.rpartition(":")[2]
    section: dict[str, Any] = {
        "name": wish.name if wish.name is not None else own_name("expose", remote.rpartition(":")[2]),
        "token": token,
        "server_addr": wish.server,
        "mappings": [{"name": MAPPING, "local": wish.local, "remote": remote}],
        "log_level": "warn",
        "log_lang": of_environment().name,
        "drain_timeout": 0,
        "tls": tls_section(wish.tls_ca, wish.pin, plain=wish.plain),
    }
    return validated(section, PROGRAM, WORDS)


def expose_port(wish: Wish, state: str | None, log_format: str) -> None:
    """Publish until a signal comes. Raises SystemExit when the wish is impossible or the server refuses it."""
    from twisted.internet import reactor

    with one_line_errors(PROGRAM):
        prepared = Prepared(client_config(wish, token_of_server(PROGRAM)), state_folder(state))
    begin_logging(sys.stderr, log_format)
    watch = _Watch(reactor)
    run(Role(PROGRAM, CLIENT.load, watch.make).service(prepared, reactor), reactor)
    if watch.refused:
        said = of_environment().sentence(f"the server refuses: {watch.refused}")
        print(f"{PROGRAM}: {said}", file=sys.stderr)
        raise SystemExit(FAILED)


class _Watch:
    """Makes the client, tells when its mapping opens, and ends the process when the server refuses it: whoever waits
    at a terminal is to choose another port now."""

    def __init__(self, reactor: Any) -> None:
        self.refused = ""
        self._reactor = reactor
        self._status: MappingStatus | None = None
        self._told: Standing | None = None

    def make(self, config: ClientConfig, reactor: Any, state: Path) -> ClientService:
        service = make_client(config, reactor, state)
        self._status = service.link.published.statuses[MAPPING]
        look = LoopingCall(self._look, self._status)
        look.clock = reactor
        reactor.callWhenRunning(look.start, LOOK_SECONDS)
        return service

    def _look(self, status: MappingStatus) -> None:
        if status.standing is self._told:
            return
        self._told = status.standing
        if status.standing is Standing.OPEN:
            click.echo(f"{status.address} reaches {status.config.local}. Ctrl-C ends it.")
        elif status.standing is Standing.REFUSED:
            self.refused = status.reason
            self._reactor.stop()


def token_of_server(program: str) -> str:
    """Return the token from the environment or from whoever sits there; the configuration checks it."""
    token = os.environ.get(VARIABLE, "")
    if not token and sys.stdin.isatty():
        token = click.prompt("Token of the server", hide_input=True, err=True)
    if not token:
        cure = f"set the variable {VARIABLE}, or start it at a terminal and be asked"
        raise ConfigError([Problem(program, None, "", "there is no token", cure)])
    return token
