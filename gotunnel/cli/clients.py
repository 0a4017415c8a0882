"""`gotunnel client`: the command lines of add, list, revoke and rotate. Parses only; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gotunnel.cli.group import CommandGroup

__all__ = ["client"]

Command = Callable[..., Any]


@click.group(cls=CommandGroup)
def client() -> None:
    """Clients with tokens and rights of their own: run this where the server runs, as its user or as root.

    It edits the server's clients file, which a running server takes up within a second.
    """


def _which_server(command: Command) -> Command:
    config = click.option(
        "-c", "--config", metavar="FILE", default="config.yaml", show_default=True, help="The server's configuration."
    )
    state = click.option(
        "--state", metavar="DIR", help="The server's state folder (default: as gotunnel-server has it)."
    )
    return config(state(command))


def _token_options(command: Command) -> Command:
    options = (
        click.option("--ttl", metavar="24h", help="How long the token is valid: 30m, 24h, 7d."),
        click.option(
            "--one-time/--lasting", default=None,
            help="A token for `gotunnel join`, which exchanges it for a lasting one; or a lasting one. "
            "Default: one-time with --print-join, for 24h.",
        ),
        click.option("--print-join", is_flag=True, help="Print a line to paste on the other machine."),
        click.option("--server", metavar="HOST:PORT", help="How clients reach this server, for the line of "
                                                           "--print-join."),
        click.option("--transport", metavar="NAME", help="The plugin through which clients reach it, for the line "
                                                         "of --print-join."),
        click.option(
            "--transport-option", "options", multiple=True, metavar="KEY=VALUE", help="An option of that plugin."
        ),
        click.option("--pin/--no-pin", default=True, help="Whether the line of --print-join names the server's "
                                                          "public key."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@client.command()
@click.argument("name")
@click.option("--ports", metavar="PORT,FROM-TO,...", help="Ports that it may publish (default: server.allow_ports).")
@click.option("--udp-ports", metavar="PORT,...", help="The same for UDP (default: server.allow_udp_ports).")
@click.option(
    "--bind",
    multiple=True,
    metavar="ADDR",
    help="An address that its mappings may listen on; may be repeated.",
)
@click.option("--dial", multiple=True, metavar="RULE", help="A target that its forwards may reach; may be repeated.")
@click.option("--node", multiple=True, metavar="NODE", help="A node that it may announce; may be repeated.")
@click.option("--group", multiple=True, metavar="GROUP", help="A group that it may publish in; may be repeated.")
@_token_options
@_which_server
def add(
    name: str,
    ports: str | None,
    udp_ports: str | None,
    bind: tuple[str, ...],
    dial: tuple[str, ...],
    node: tuple[str, ...],
    group: tuple[str, ...],
    config: str,
    state: str | None,
    **wish: Any,
) -> None:
    """Make a client and print its token, or with --print-join the line that uses it. Neither is ever shown again."""
    from gotunnel.cli.clientedit import RightsWish, TokenWish, add_client

    rights = RightsWish(ports, bind, dial, node, group, udp_ports)
    add_client((config, state), name, rights, TokenWish(**_checked(wish)))


@client.command("list")
@click.option("--json", "as_json", is_flag=True, help="As a JSON array.")
@_which_server
def list_(config: str, state: str | None, as_json: bool) -> None:
    """Show all clients that have tokens of their own, their rights, and until when they are valid."""
    from gotunnel.cli.clientlist import list_clients

    list_clients((config, state), json_wanted=as_json)


@client.command()
@click.argument("name")
@click.option("--forget", is_flag=True, help="Also free its name; otherwise nobody can use the name any more.")
@_which_server
def revoke(name: str, config: str, state: str | None, forget: bool) -> None:
    """Revoke a client: its tokens stop working, and a running server disconnects it within a second."""
    from gotunnel.cli.clientedit import revoke_client

    revoke_client((config, state), name, forget=forget)


@client.command()
@click.argument("name")
@click.option("--drop-old", is_flag=True, help="Make no token: end the older of two.")
@click.option("--at-once", is_flag=True, help="End the old token now, for example because somebody has seen it.")
@_token_options
@_which_server
def rotate(name: str, config: str, state: str | None, drop_old: bool, at_once: bool, **wish: Any) -> None:
    """Give a client another token. The old one stays valid until the new one is used for the first time."""
    from gotunnel.cli import clientedit

    wanted = clientedit.TokenWish(**_checked(wish))
    if not drop_old:
        clientedit.rotate_client((config, state), name, wanted, now=at_once)
    elif at_once or wanted != clientedit.TokenWish():
        raise click.UsageError("--drop-old makes no token and cannot be combined with other options")
    else:
        clientedit.drop_old((config, state), name)


def _checked(wish: dict[str, Any]) -> dict[str, Any]:
    if wish["server"] is not None and not wish["print_join"]:
        raise click.UsageError("--server is only used with --print-join")
    if (wish["transport"] is not None or wish["options"]) and not wish["print_join"]:
        raise click.UsageError("--transport is only used with --print-join")
    return wish
