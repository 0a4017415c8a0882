"""`gotunnel expose`: publishes one local port until Ctrl-C, with a client that has no file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel.api import Event, MappingClosed, MappingOpened, NotConnected, PortUnavailable, Tunnel
from gotunnel.api.state import is_shut
from gotunnel.cli.foreground import run
from gotunnel.cli.logoutput import begin_logging
from gotunnel.cli.saying import say
from gotunnel.config.model import ClientConfig
from gotunnel.config.words import own_name, tls_section, validated
from gotunnel.errors import ConfigError, GotunnelError, Problem, Sentence
from gotunnel.i18n.language import of_environment
from gotunnel.tap.client import CLIENT
from gotunnel.tap.exits import FAILED, one_line_errors
from gotunnel.tap.role import Prepared, Role, state_folder

__all__ = ["Wish", "client_config", "expose_port", "token_of_server"]

PROGRAM = "gotunnel expose"

VARIABLE = "GOTUNNEL_TOKEN"

MAPPING = "exposed"

WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "--name",
    ("server_addr",): "--server",
    ("token",): VARIABLE,
    ("tls", "ca"): "--tls-ca",
    ("tls", "pin"): "--pin",
    ("mappings", "local"): "PORT",
    ("mappings", "remote"): "--remote",
    ("mappings", "protocol"): "--udp",
}
"""The command line's words for the keys of a configuration."""


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
    udp: bool = False

    @property
    def protocol(self) -> str:
        """The mapping's protocol."""
        return "udp" if self.udp else "tcp"


def client_config(wish: Wish, token: str) -> ClientConfig:
    """Return the configuration that a file would give. Raises ConfigError in terms of the command line."""
    remote = wish.remote if wish.remote is not None else wish.local.rpartition(":")[2]
    section: dict[str, Any] = {
        "name": wish.name if wish.name is not None else own_name("expose", remote.rpartition(":")[2]),
        "token": token,
        "server_addr": wish.server,
        "mappings": [{"name": MAPPING, "local": wish.local, "remote": remote, "protocol": wish.protocol}],
        "log_level": "warn",
        "log_lang": of_environment().name,
        "drain_timeout": 0,
        "tls": tls_section(wish.tls_ca, wish.pin, plain=wish.plain),
    }
    return validated(section, PROGRAM, WORDS)


def expose_port(wish: Wish, state: str | None, log_format: str) -> None:
    """Publish until a signal comes. Raises SystemExit if that is impossible or the server refuses it."""
    from twisted.internet import reactor

    with one_line_errors(PROGRAM):
        config = client_config(wish, token_of_server(PROGRAM))
        prepared = Prepared(config, state_folder(state))
    begin_logging(sys.stderr, log_format)
    exposing = _Exposing(wish, config, reactor)
    run(Role(PROGRAM, CLIENT.load, lambda _config, _reactor, _state: exposing).service(prepared, reactor), reactor)
    if exposing.refused:
        said = of_environment().sentence(Sentence("the server refuses: {refused}", refused=exposing.refused))
        print(f"{PROGRAM}: {said}", file=sys.stderr)
        raise SystemExit(FAILED)
    if exposing.failed is not None:
        with one_line_errors(PROGRAM):
            raise exposing.failed


class _Exposing(Service):
    """Opens the port, and says when it is open. Ends the process if the server refuses the port, so that a user at a
    terminal can choose another one now."""

    def __init__(self, wish: Wish, config: ClientConfig, reactor: Any) -> None:
        self.refused = ""
        self.failed: GotunnelError | None = None
        (self._mapping,) = config.mappings
        self._reactor = reactor
        self._tunnel = Tunnel(
            str(config.all_servers[0]), name=config.name, token=config.token.get_secret_value(), ca=wish.tls_ca,
            pin=wish.pin, tls=not wish.plain, timeout=0, reactor=reactor,
        )  # fmt: skip
        self._tunnel.observe(self._happened)

    def startService(self) -> None:
        """Open the port, however long it takes to reach the server."""
        super().startService()
        mapping = self._mapping
        opening = self._tunnel.expose(
            str(mapping.local), str(mapping.remote), mapping=MAPPING, protocol=mapping.protocol
        )
        opening.addErrback(self._not_opened)

    def stopService(self) -> Deferred[None]:
        """Close the port. Visitors end with the process."""
        super().stopService()
        return self._tunnel.close()

    def _happened(self, event: Event) -> None:
        if isinstance(event, MappingOpened):
            local = self._mapping.local
            opened = Sentence("{address} reaches {local}. Ctrl-C ends it.", address=event.address, local=local)
            try:
                say(opened)
            except OSError:  # a full disk, or a pipe that nobody reads, must not end a tunnel
                with suppress(OSError):
                    say(opened, err=True)
        elif isinstance(event, MappingClosed) and self.running and not is_shut(event):
            self._refuse(event.reason)  # otherwise the log says so, and the port opens again by itself

    def _not_opened(self, failure: Failure) -> None:
        failure.trap(GotunnelError)
        error = failure.value
        if isinstance(error, PortUnavailable):
            self._refuse(str(error))
        elif isinstance(error, GotunnelError) and not isinstance(error, NotConnected):  # i.e. closed meanwhile
            self.failed = error
            self._reactor.callWhenRunning(self._reactor.stop)

    def _refuse(self, reason: str) -> None:
        if not self.refused:
            self.refused = reason
            self._reactor.stop()


def token_of_server(program: str) -> str:
    """Return the token from the environment or a prompt; the configuration checks it."""
    token = os.environ.get(VARIABLE, "")
    if not token and sys.stdin.isatty():
        token = click.prompt(of_environment().sentence(Sentence("Token of the server")), hide_input=True, err=True)
    if not token:
        cure = f"set the variable {VARIABLE}, or start it at a terminal and be asked"
        raise ConfigError([Problem(program, None, "", "there is no token", cure)])
    return token
