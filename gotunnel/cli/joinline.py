"""The line that `--print-join` prints: what to paste on the other machine, and how that machine reaches this server.
Opens no connection and makes no token."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from gotunnel.address import HostPort, is_wildcard, parse_host_port
from gotunnel.config.fields import DEFAULT_PORT
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError, Problem, Sentence

__all__ = ["Place", "join_line", "place_of", "transport_words"]

NOBODY = "192.0.2.1"
"""An address for documentation (RFC 5737), used to ask the kernel for a route; nothing is sent there."""


@dataclass(frozen=True, slots=True)
class Place:
    """How clients reach the server, with a note for the user if that is a guess."""

    address: HostPort
    note: str = ""


def place_of(config: ServerConfig, named: str | None, program: str) -> Place:
    """Return what `--server` names, or what `server.addr` says, or a guess. Raises ConfigError if there is none."""
    if named is not None:
        try:
            address = parse_host_port(named, default_port=config.addr.port or DEFAULT_PORT)
        except ValueError as error:
            raise ConfigError([Problem(program, None, "--server", str(error), "write HOST:PORT")]) from None
        if is_wildcard(address.host):
            what = f"{address.host} is not an address to connect to"
            cure = "write the name or the address of this server"
            raise ConfigError([Problem(program, None, "--server", what, cure)])
        return Place(address)
    host, port = config.addr.host, config.addr.port
    if port == 0:
        cure = "give --server HOST:PORT, by which clients reach it"
        raise ConfigError([Problem(program, None, "server.addr", "names no port", cure)])
    if not is_wildcard(host):
        loopback = host == "::1" or host.startswith("127.")
        note = Sentence("{host} can be reached from this machine only: change server.addr, or give --server "
                        "HOST:PORT", host=host)  # fmt: skip
        return Place(HostPort(host, port), note if loopback else "")
    guess = _routed_address(socket.AF_INET) or (_routed_address(socket.AF_INET6) if host == "::" else None)
    if guess is None:
        cure = "give --server HOST:PORT, by which clients reach it"
        raise ConfigError([Problem(program, None, "server.addr", f"{host} does not tell where clients connect", cure)])
    note = Sentence(
        "server.addr is {host}, so the line names {address}, the address of this machine's default route; if clients "
        "reach it by a name or through another address, say so with --server HOST:PORT", host=host, address=guess,
    )  # fmt: skip
    return Place(HostPort(guess, port), note)


def transport_words(name: str, options: Iterable[str]) -> tuple[str, ...]:
    """Return the line's words for a transport."""
    return "--transport", name, *(word for option in options for word in ("--transport-option", option))


def join_line(
    token: str, place: HostPort, name: str, *, pin: str | None, plain: bool, renew: bool, more: Iterable[str] = ()
) -> str:
    """Return the line. `renew` is for a client that may have a configuration already; `more` are words to append.

    `printf` is a builtin of the shell, so the token does not appear in the list of processes.
    """
    words = ["gotunnel", "join", str(place), "--name", name]
    if pin is not None:
        words += ["--pin", pin]
    if plain:
        words.append("--plain")
    if renew:
        words.append("--renew")
    words += more
    return f"printf %s '{token}' | {shlex.join(words)}"


def _routed_address(family: socket.AddressFamily) -> str | None:
    """Return the address from which this machine sends, if it has a default route."""
    target = NOBODY if family == socket.AF_INET else "2001:db8::1"  # RFC 3849
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            address = str(probe.getsockname()[0])
    except OSError:
        return None
    return None if is_wildcard(address) or address.startswith("127.") else address
