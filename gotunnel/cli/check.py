"""`gotunnel check`: says in words what a configuration would do, or all that is wrong with it. Opens no connection."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gotunnel.config.explain import explain
from gotunnel.config.identityfile import CLIENTS_FILE, FileIdentity, load_clients, stamp
from gotunnel.config.load import load
from gotunnel.config.model import ServerConfig
from gotunnel.server.credentials import Credentials
from gotunnel.tap.exits import one_line_errors
from gotunnel.tap.role import state_path

__all__ = ["check_file"]


def check_file(path: str, state: str | None) -> None:
    """Print the explanation of the file at `path`, with the clients of its clients file, which is in the folder `state`
    if it names none; or what is wrong on standard error, and raise SystemExit(2)."""
    default = state_path(state) / CLIENTS_FILE
    with one_line_errors("gotunnel check"):
        file = load(path, clients_elsewhere=os.path.exists(default))
        filed = () if file.server is None else _filed(file.server, default)
    for line in explain(file, filed):
        click.echo(line)


def _filed(server: ServerConfig, default: Path) -> tuple[FileIdentity, ...]:
    path = server.clients_file or default
    if stamp(path) is None:
        return ()
    clients = load_clients(path)
    Credentials(server, frozenset()).table(clients, path)  # refuses a name that stands in both places
    return clients
