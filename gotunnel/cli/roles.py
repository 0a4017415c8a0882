"""`gotunnel-server` and `gotunnel-client`: the two roles in the foreground, with the configuration of this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gotunnel import __version__
from gotunnel.cli.logoutput import FORMATS, begin_logging

if TYPE_CHECKING:
    from gotunnel.tap.role import Role

__all__ = ["client", "log_format_option", "server", "state_option"]

state_option = click.option(
    "--state",
    metavar="DIR",
    help="The folder for state (default: $STATE_DIRECTORY, else $XDG_STATE_HOME/gotunnel).",
)
log_format_option = click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="How the log is written.",
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    config = click.option(
        "-c",
        "--config",
        metavar="FILE",
        default="config.yaml",
        show_default=True,
        help="The configuration file.",
    )
    version = click.version_option(__version__, message="%(prog)s %(version)s")
    return config(state_option(log_format_option(version(command))))


@click.command("gotunnel-server", context_settings={"help_option_names": ["-h", "--help"]})
@_options
def server(config: str, state: str | None, log_format: str) -> None:
    """Publish ports of clients that cannot be reached themselves."""
    from gotunnel.tap.server import SERVER

    _run(SERVER, config, state, log_format)


@click.command("gotunnel-client", context_settings={"help_option_names": ["-h", "--help"]})
@_options
def client(config: str, state: str | None, log_format: str) -> None:
    """Publish ports of this machine on a gotunnel server."""
    from gotunnel.tap.client import CLIENT

    _run(CLIENT, config, state, log_format)


def _run(role: Role, config: str, state: str | None, log_format: str) -> None:
    from gotunnel.net.choice import install_reactor

    install_reactor()
    from twisted.internet import reactor

    from gotunnel.cli.foreground import run

    prepared = role.prepare(config, state)
    begin_logging(sys.stderr, log_format)
    run(role.service(prepared, reactor), reactor)
