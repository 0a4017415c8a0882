"""`gotunnel dashboard`: prints a link that lets a browser in, and opens a port if the process has none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from gotunnel.address import HostPort, parse_host_port
from gotunnel.cli.running.asking import Where
from gotunnel.cli.running.doing import the_one
from gotunnel.cli.saying import errors_of_asking, say
from gotunnel.errors import Sentence

__all__ = ["link_to", "show_dashboard"]

PROGRAM = "gotunnel"
USUAL_PORT = 17080


def show_dashboard(where: Where, port: int | None) -> None:
    """Print a link. If the process listens on no address, or `port` is given, also bring the page to a port of this
    machine until Ctrl-C. Raises SystemExit."""
    with errors_of_asking(PROGRAM):
        process = the_one(where)
        answer = process.post("/v1/link")
        if answer["addr"] is not None and port is None:
            click.echo(link_to(parse_host_port(answer["addr"]), answer["hosts"], answer["code"]))
            return
        # Twisted is imported only if this command has to stay.
        from gotunnel.cli.running.bringing import bring

        bring(process.path, USUAL_PORT if port is None else port, port is None, lambda at: _say(at, answer))


def link_to(addr: HostPort, hosts: list[str], code: str) -> str:
    """Return the link to the page that listens at `addr`."""
    host = addr.host
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - it is compared
        host = hosts[0] if hosts else "127.0.0.1"
    # After the #, which a browser sends to nobody, so that neither a log nor a Referer contains it.
    return f"http://{HostPort(host, addr.port)}/#code={code}"


def _say(at: HostPort, answer: dict[str, Any], env: Mapping[str, str] = os.environ) -> None:
    click.echo(link_to(at, [], answer["code"]))
    if env.get("SSH_CONNECTION"):
        say(Sentence(
            "from your machine: ssh -L {port}:{at} THIS-MACHINE, then open the same link", port=at.port, at=at
        ), err=True)  # fmt: skip
    say("the page is there until Ctrl-C, and opens only with this link", err=True)
