"""The `gotunnel` command: everything except the long-running roles. Parses only; the work is done elsewhere."""

from __future__ import annotations

import click

from gotunnel import __version__
from gotunnel.cli import fileless
from gotunnel.cli.clients import client
from gotunnel.cli.group import CommandGroup
from gotunnel.cli.running import commands as running

__all__ = ["main"]


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A reverse tunnel: publish ports of machines that cannot be reached on one that can."""


main.add_command(client)
for _command in (*running.COMMANDS, *fileless.COMMANDS):
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
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="The name or address by which workers reach kube-apiserver.",
)
@click.option(
    "--kubelet-ca",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificates in PEM, one of which must have issued those of the kubelets.",
)
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(0.1, 300), default=5.0, show_default=True)
@click.option("--no-throughput", is_flag=True, help="Do not send bytes to measure a leg's throughput.")
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
    """Find out why it does not work: prints one line for each check, and what to do about problems.

    Exit code 0 if there is no problem, 1 if there is one, 2 if the configuration would be refused.
    """
    from pathlib import Path

    from gotunnel.cli.doctor.command import doctor_file
    from gotunnel.cli.doctor.wish import Wish

    if timeout != timeout:  # nan passes every range check
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

    On the server: the pin of what its configuration names, or of its own certificate, which is made if there is none.
    Elsewhere: HOST:PORT, the pin of what that server shows now, unchecked.
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
