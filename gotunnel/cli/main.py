"""The `gotunnel` command: everything that is not a role running for a year. Parses; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gotunnel import __version__
from gotunnel.cli.clients import client
from gotunnel.cli.group import CommandGroup
from gotunnel.cli.running.commands import COMMANDS

__all__ = ["main"]

Command = Callable[..., Any]


def _refuse_token(context: click.Context | None, option: click.Parameter | None, value: object) -> None:
    if value:
        from gotunnel.cli.tokeninput import refuse_on_command_line

        refuse_on_command_line()


def _way_to_server(command: Command) -> Command:
    """Add what a client without a file can be told of its server and of itself."""
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


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A reverse tunnel: publish ports of machines that cannot be reached on one that can."""


main.add_command(client)
for _command in COMMANDS:
    main.add_command(_command)


@main.command()
@click.argument("file", type=click.Path())
@click.option("--state", metavar="DIR", help="The server's folder for state, where `clients.json` is.")
def check(file: str, state: str | None) -> None:
    """Validate a configuration FILE and explain what it would open. Exit code 2 if it would be refused."""
    from gotunnel.cli.check import check_file

    check_file(file, state)


@main.command()
@click.option("-c", "--config", metavar="FILE", default="config.yaml", show_default=True, help="The configuration.")
@click.option("--state", metavar="DIR", help="The server's folder for state.")
@click.option("--kubernetes", is_flag=True, help="Examine the certificates of kube-apiserver and kubelets.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="By which workers reach the kube-apiserver.")
@click.option(
    "--kubelet-ca",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificates in PEM, one of which must have issued those of the kubelets.",
)
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(0.1, 300), default=5.0, show_default=True)
@click.option("--no-throughput", is_flag=True, help="Send no bytes to measure what a leg carries.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects: check, status, message, cure.")
def doctor(
    config: str,
    state: str | None,
    kubernetes: bool,
    names: tuple[str, ...],
    kubelet_ca: str | None,
    timeout: float,
    no_throughput: bool,
    as_json: bool,
) -> None:
    """Find out why it does not work: one line for each thing examined, with its cure.

    Exit code 0 if there is no problem, 1 if there is one, 2 if the configuration would be refused.
    """
    from pathlib import Path

    from gotunnel.cli.doctor.command import doctor_file
    from gotunnel.cli.doctor.wish import Wish

    if timeout != timeout:  # nan, which is within every range
        raise click.UsageError("--timeout is not a number of seconds")
    ca = None if kubelet_ca is None else Path(kubelet_ca)
    doctor_file(config, state, Wish(kubernetes, names, ca, timeout, not no_throughput), json=as_json)


@main.command()
def token() -> None:
    """Print a new token of 256 bits, for `token:` or a `token_file`."""
    import secrets

    # Hexadecimal: a double click selects all of it, and it never begins with a dash.
    click.echo(secrets.token_hex(32))


@main.command()
@click.argument("server", metavar="[HOST:PORT]", required=False)
@click.option("-c", "--config", metavar="FILE", help="The server's configuration (default: config.yaml).")
@click.option("--cert", metavar="FILE", type=click.Path(), help="A certificate in PEM.")
@click.option("--state", metavar="DIR", help="The server's folder for state, where it keeps its own certificate.")
def pin(server: str | None, config: str | None, cert: str | None, state: str | None) -> None:
    """Print the pin of a server's key, for `client.tls.pin`.

    On the server: of what its configuration names, or of its own certificate, which is made if there is none. From
    elsewhere: HOST:PORT, of what that server shows now, unchecked.
    """
    from gotunnel.cli.pin import print_pin

    print_pin(server, config, cert, state)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object: plugins, and what is broken.")
def plugins(as_json: bool) -> None:
    """List the plugins that a configuration can name, where they come from, and their options.

    Exit code 1 if one of them is broken.
    """
    from gotunnel.cli.plugins import list_plugins

    list_plugins(as_json=as_json)


@main.command()
def version() -> None:
    """Print the versions to name in a bug report."""
    import platform

    from OpenSSL.SSL import OPENSSL_VERSION, OpenSSL_version

    import twisted

    openssl = OpenSSL_version(OPENSSL_VERSION).decode().split()[1]
    click.echo(f"gotunnel {__version__}")
    click.echo(f"Twisted {twisted.__version__}, Python {platform.python_version()}, OpenSSL {openssl}")


@main.command()
@click.argument("local", metavar="PORT|HOST:PORT|unix:PATH")
@click.option("--server", required=True, metavar="HOST:PORT", help="The gotunnel server.")
@click.option(
    "--remote", metavar="[HOST:]PORT", help="Where the server listens for it (default: the local port)."
)
@click.option("--udp", is_flag=True, help="It takes datagrams: the server's port is one of UDP.")
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

    if plain and (tls_ca or pin):
        raise click.UsageError("--plain and --tls-ca or --pin contradict each other")
    expose_port(Wish(local, server, remote, name, tls_ca, plain, pin, udp), state, log_format)


@main.command()
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

    if plain and (tls_ca or pin):
        raise click.UsageError("--plain and --tls-ca or --pin contradict each other")
    open_egress(EgressWish(server, listen, mode, name, tls_ca, pin, plain), state, log_format)


@main.command()
@click.argument("server", metavar="HOST:PORT")
@click.argument("more", nargs=-1, metavar="")
@click.option("--name", required=True, help="The name of this client, which the server knows.")
@click.option("--pin", metavar="sha256:...", help="Accept only a server with this public key.")
@click.option("--ca", metavar="FILE", help="Accept only a server with a certificate of this authority (PEM).")
@click.option("--cert", metavar="FILE", help="This client's own certificate (PEM), for a server with client_ca.")
@click.option("--key", metavar="FILE", help="The private key of --cert.")
@click.option("--plain", is_flag=True, help="No TLS, for a server with `tls: {mode: off}`.")
@click.option("--ports", metavar="PORT,...", help="Publish these ports of this machine, under the same numbers.")
@click.option("--local", multiple=True, metavar="PORT|HOST:PORT|unix:PATH", help="Publish this; --remote says where.")
@click.option("--remote", multiple=True, metavar="[HOST:]PORT", help="Where the server listens for that --local.")
@click.option("--transport", metavar="NAME", help="The plugin by which the server is reached, like websocket.")
@click.option("--transport-option", "options", multiple=True, metavar="KEY=VALUE", help="An option of that plugin.")
@click.option("-o", "--output", metavar="FILE", default="config.yaml", show_default=True, help="What to write.")
@click.option("--force", is_flag=True, help="Replace that file, and keep it as FILE.old.")
@click.option("--renew", is_flag=True, help="If that file is there, keep it, and replace the token in its token_file.")
@click.option("--json", "as_json", is_flag=True, help="Say the result as one JSON object.")
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

    The token comes from standard input, from GOTUNNEL_TOKEN, or is asked for; never from the command line, where every
    user of this machine could read it. A one-time token is exchanged for a lasting one. What is left behind is a
    configuration and a token file.
    """
    from gotunnel.cli.clientconfig import Wish
    from gotunnel.cli.join import join_server

    if more:
        _refuse_token(None, None, more)
    if plain and (ca or pin or cert or key):
        raise click.UsageError("--plain contradicts --pin, --ca, --cert and --key")
    wish = Wish(server, name, pin, ca, cert, key, plain, ports, local, remote, transport, options)
    if renew and force:
        raise click.UsageError("--renew keeps what --force replaces")
    join_server(wish, output, force=force, renew=renew, as_json=as_json)
