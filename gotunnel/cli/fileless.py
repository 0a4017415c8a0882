"""The command lines with which a machine without a configuration connects to a server: some need no file, one writes
it. Parses only; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gotunnel.cli.group import Command

__all__ = ["COMMANDS"]

Function = Callable[..., Any]


def _refuse_token(context: click.Context | None, option: click.Parameter | None, value: object) -> None:
    if value:
        from gotunnel.cli.tokeninput import refuse_on_command_line

        refuse_on_command_line()


def _way_to_server(command: Function) -> Function:
    """Add the options with which a client without a file is told its server and its own name."""
    options = (
        click.option("--name", help="The name of this client, if the server's token belongs to one."),
        click.option("--tls-ca", metavar="FILE", help="Accept only a server with a certificate of this authority."),
        click.option(
            "--pin", metavar="PIN", help="Accept only a server with this key, as `gotunnel pin` prints it there."
        ),
        click.option("--plain", is_flag=True, help="No TLS, for a server with `tls: {mode: off}`."),
        click.option("--state", metavar="DIR", help="The folder for state."),
        click.option("--log-format", type=click.Choice(("text", "json")), default="text", show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _refuse_contradiction(plain: bool, tls_ca: str | None, pin: str | None) -> None:
    if plain and (tls_ca or pin):
        raise click.UsageError("--plain cannot be combined with --tls-ca or --pin")


@click.command(cls=Command)
@click.argument("local", metavar="PORT|HOST:PORT|unix:PATH")
@click.option("--server", required=True, metavar="HOST:PORT", help="The gotunnel server.")
@click.option(
    "--remote",
    metavar="[HOST:]PORT",
    help="The port or address on which the server listens for it (default: the local port).",
)
@click.option("--udp", is_flag=True, help="It takes datagrams: the server's port is a UDP port.")
@_way_to_server
def expose(
    local: str,
    server: str,
    remote: str | None,
    udp: bool,
    name: str | None,
    tls_ca: str | None,
    pin: str | None,
    plain: bool,
    state: str | None,
    log_format: str,
) -> None:
    """Publish one local port until Ctrl-C, without a file.

    The token comes from the environment's GOTUNNEL_TOKEN, or is asked for; never from the command line, where every
    user of this machine could read it.
    """
    from gotunnel.cli.expose import Wish, expose_port

    _refuse_contradiction(plain, tls_ca, pin)
    expose_port(Wish(local, server, remote, name, tls_ca, plain, pin, udp), state, log_format)


@click.command(cls=Command)
@click.option("--to", "server", required=True, metavar="HOST:PORT", help="The server.")
@click.option("--listen", metavar="unix:PATH", default="unix:/run/gotunnel/egress.sock", show_default=True)
@click.option("--mode", metavar="OCTAL", default="0600", show_default=True, help="Who may connect to the socket.")
@_way_to_server
def egress(
    server: str,
    listen: str,
    mode: str,
    name: str | None,
    tls_ca: str | None,
    pin: str | None,
    plain: bool,
    state: str | None,
    log_format: str,
) -> None:
    """Open a socket on which kube-apiserver asks for nodes, until Ctrl-C, without a file.

    The server must allow it: `allow_dial: ["nodes:10250"]`. The token comes from GOTUNNEL_TOKEN, or is asked for.
    """
    from gotunnel.cli.egress import EgressWish, open_egress

    _refuse_contradiction(plain, tls_ca, pin)
    open_egress(EgressWish(server, listen, mode, name, tls_ca, pin, plain), state, log_format)


@click.command(cls=Command)
@click.argument("server", metavar="HOST:PORT")
@click.argument("more", nargs=-1, metavar="")
@click.option("--name", required=True, help="The name of this client, which the server knows.")
@click.option("--pin", metavar="sha256:...", help="Accept only a server with this public key.")
@click.option("--ca", metavar="FILE", help="Accept only a server with a certificate of this authority (PEM).")
@click.option("--cert", metavar="FILE", help="This client's own certificate (PEM), for a server with client_ca.")
@click.option("--key", metavar="FILE", help="The private key of --cert.")
@click.option("--plain", is_flag=True, help="No TLS, for a server with `tls: {mode: off}`.")
@click.option("--ports", metavar="PORT,...", help="Publish these ports of this machine, under the same numbers.")
@click.option(
    "--local",
    multiple=True,
    metavar="PORT|HOST:PORT|unix:PATH",
    help="The port or address to publish; --remote says where.",
)
@click.option(
    "--remote",
    multiple=True,
    metavar="[HOST:]PORT",
    help="The port or address on which the server listens for that --local.",
)
@click.option("--transport", metavar="NAME", help="The plugin through which the server is reached, like websocket.")
@click.option("--transport-option", "options", multiple=True, metavar="KEY=VALUE", help="An option of that plugin.")
@click.option("-o", "--output", metavar="FILE", default="config.yaml", show_default=True, help="What to write.")
@click.option("--force", is_flag=True, help="Replace that file, and keep it as FILE.old.")
@click.option(
    "--renew",
    is_flag=True,
    help="If that file exists, keep it, and replace only the token in its token_file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--token", hidden=True, expose_value=False, callback=_refuse_token, is_eager=True)
def join(
    server: str,
    more: tuple[str, ...],
    name: str,
    pin: str | None,
    ca: str | None,
    cert: str | None,
    key: str | None,
    plain: bool,
    ports: str | None,
    local: tuple[str, ...],
    remote: tuple[str, ...],
    transport: str | None,
    options: tuple[str, ...],
    output: str,
    force: bool,
    renew: bool,
    as_json: bool,
) -> None:
    """Make this machine a client of a server, with a token that `gotunnel client add` has made there.

    The token comes from standard input, from GOTUNNEL_TOKEN, or is asked for; never from the command line, where
    every user of this machine could read it. A one-time token is exchanged for a lasting one. The command leaves a
    configuration and a token file.
    """
    from gotunnel.cli.clientconfig import Wish
    from gotunnel.cli.join import join_server

    if more:
        _refuse_token(None, None, more)
    if plain and (ca or pin or cert or key):
        raise click.UsageError("--plain cannot be combined with --pin, --ca, --cert or --key")
    wish = Wish(server, name, pin, ca, cert, key, plain, ports, local, remote, transport, options)
    if renew and force:
        raise click.UsageError("--renew cannot be combined with --force: it keeps the file that --force replaces")
    join_server(wish, output, force=force, renew=renew, as_json=as_json)


COMMANDS = (expose, egress, join)
