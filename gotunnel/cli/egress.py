"""`gotunnel egress`: opens an egress socket for the kube-apiserver on this machine until Ctrl-C, with a client that has
no file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gotunnel.cli.expose import token_of_server
from gotunnel.cli.foreground import run
from gotunnel.cli.logoutput import begin_logging
from gotunnel.client.service import make_client
from gotunnel.config.model import ClientConfig
from gotunnel.config.words import own_name, tls_section, validated
from gotunnel.i18n.language import of_environment
from gotunnel.tap.client import CLIENT
from gotunnel.tap.exits import one_line_errors
from gotunnel.tap.role import Prepared, Role, state_folder

__all__ = ["EgressWish", "egress_config", "open_egress"]

PROGRAM = "gotunnel egress"

WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "--name",
    ("server_addr",): "--to",
    ("token",): "GOTUNNEL_TOKEN",
    ("tls", "ca"): "--tls-ca",
    ("tls", "pin"): "--pin",
    ("egress", "listen"): "--listen",
    ("egress", "socket_mode"): "--mode",
}
"""The command line's words for the keys of a configuration."""


@dataclass(frozen=True, slots=True)
class EgressWish:
    """What the command line asks for."""

    server: str
    listen: str
    mode: str
    name: str | None = None
    tls_ca: str | None = None
    pin: str | None = None
    plain: bool = False


def egress_config(wish: EgressWish, token: str) -> ClientConfig:
    """Return the configuration that a file would give. Raises ConfigError in terms of the command line."""
    section: dict[str, Any] = {
        "name": wish.name if wish.name is not None else own_name("egress", ""),
        "token": token,
        "server_addr": wish.server,
        "profile": "kubernetes",
        "log_lang": of_environment().name,
        "egress": {"listen": wish.listen, "socket_mode": wish.mode},
        "tls": tls_section(wish.tls_ca, wish.pin, plain=wish.plain),
    }
    return validated(section, PROGRAM, WORDS)


def open_egress(wish: EgressWish, state: str | None, log_format: str) -> None:
    """Serve until a signal comes. Raises SystemExit if that is impossible."""
    from twisted.internet import reactor

    with one_line_errors(PROGRAM):
        prepared = Prepared(egress_config(wish, token_of_server(PROGRAM)), state_folder(state))
    begin_logging(sys.stderr, log_format)
    run(Role(PROGRAM, CLIENT.load, make_client).service(prepared, reactor), reactor)
