"""Endpoints as strings, `gotunnel:server.example\\:17000:remote=8080`: their options, and the errors for wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import yaml

from gotunnel.api.endpoints import TunnelClientEndpoint, TunnelServerEndpoint
from gotunnel.api.mappings import forward_config, mapping_config, mapping_section
from gotunnel.api.settings import KNOWN_ANYWAY, checked_seconds, gathered, refused_option
from gotunnel.api.tunnel import Tunnel
from gotunnel.errors import printable

__all__ = ["CLIENT_OPTIONS", "REFUSED", "SERVER_OPTIONS", "client_endpoint", "server_endpoint"]

_FLAGS = {word: word in ("yes", "on", "true") for word in ("yes", "no", "on", "off", "true", "false")}


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise refused_option(name, f"{text!r} is neither yes nor no", "write yes or no")
    return _FLAGS[text.lower()]


def _seconds(name: str, text: str) -> float:
    try:
        given: Any = float(text)
    except ValueError:
        given = text
    return checked_seconds(name, given)


def _text(name: str, text: str) -> str:
    if not text:
        raise refused_option(name, "is empty", "give it a value, or leave it out")
    return text


def _list(name: str, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _text(name, text).split(","))


def _health(name: str, text: str) -> dict[str, Any]:
    """Read `http,path=/healthz,interval=2`: the kind, and options with values as in a file."""
    kind, *options = _text(name, text).split(",")
    found: dict[str, Any] = {"type": kind.strip()}
    for option in options:
        key, equals, value = option.partition("=")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            found[key.strip()] = value
        if not equals or not key.strip():
            cure = "write the kind, and options behind commas, like http,path=/healthz,interval=2"
            raise refused_option(name, f"{printable(option, 60)!r} is not an option with its value", cure)
    return found


def _token(name: str, text: str) -> str:
    cure = "put it into a file and name that with token_file, or set the variable GOTUNNEL_TOKEN"
    raise refused_option(name, "would appear in the list of processes, for everybody on this machine", cure)


def _known_anyway(name: str, text: str) -> bool:
    raise refused_option(name, *KNOWN_ANYWAY)


def _datagrams(name: str, text: str) -> bool:
    cure = "leave it out; a program publishes a DatagramProtocol, or a port of UDP, with expose()"
    raise refused_option(name, "is for datagrams, and whoever takes an endpoint listens for connections", cure)


def _nobodys(name: str, text: str) -> bool:
    what = "has no meaning for a connection of this program itself: there is no visitor whose address could be told"
    raise refused_option(name, what, "leave it out, and let the protocol write the header if the target wants one")


_Readers = Mapping[str, Callable[[str, str], Any]]

TUNNEL_OPTIONS: _Readers = {
    "name": _text,
    "token_file": _text,
    "token": _token,
    "pin": _text,
    "ca": _text,
    "cert": _text,
    "key": _text,
    "server_name": _text,
    "tls": _flag,
    "relay": _text,
    "profile": _text,
    "timeout": _seconds,
}
"""Options of both kinds of endpoint: which server, under which name."""
SERVER_OPTIONS: _Readers = {
    **TUNNEL_OPTIONS,
    "remote": _text,
    "mapping": _text,
    "encrypt": _flag,
    "public": _flag,
    "clients": _list,
    "group": _text,
    "drain": _seconds,
    "health": _health,
    "proxy_protocol": _known_anyway,
    "protocol": _datagrams,
    "idle": _datagrams,
}
CLIENT_OPTIONS: _Readers = {
    **TUNNEL_OPTIONS, "dial": _text, "encrypt": _flag, "keep": _seconds, "proxy_protocol": _nobodys,
}  # fmt: skip
REFUSED = ("token", "proxy_protocol", "protocol", "idle")
"""Names that are known only to explain why there is no such option."""


def server_endpoint(reactor: Any, /, *arguments: str, **options: str) -> TunnelServerEndpoint:
    """Return the endpoint for `gotunnel:SERVER:remote=…`. Raises ConfigError, also for a configuration that cannot be
    used."""
    tunnel, given = _read(reactor, arguments, options, SERVER_OPTIONS, _check_mapping)
    return TunnelServerEndpoint(tunnel, given.pop("remote", None), **given)


def client_endpoint(reactor: Any, /, *arguments: str, **options: str) -> TunnelClientEndpoint:
    """Return the endpoint for `gotunnel:SERVER:dial=…`. Raises ConfigError in the same cases."""
    tunnel, given = _read(reactor, arguments, options, CLIENT_OPTIONS, _check_dial)
    return TunnelClientEndpoint(tunnel, given.pop("dial"), **given)


def _check_mapping(given: Mapping[str, Any]) -> None:
    remote = given.get("remote")
    if remote is None and given.get("public", True):
        cure = "add remote=8080, or remote=0 for any free port of the server"
        raise refused_option("remote", "is missing", cure)
    of_mapping = {name: value for name, value in given.items() if name not in ("drain", "remote")}
    mapping_config(mapping_section(1, remote, of_mapping))


def _check_dial(given: Mapping[str, Any]) -> None:
    if "dial" not in given:
        raise refused_option("dial", "is missing", r"add dial=10.0.0.7\:5432, or dial=mapping\:CLIENT/NAME")
    forward_config(given["dial"], given.get("encrypt", True))


def _read(
    reactor: Any,
    arguments: tuple[str, ...],
    options: Mapping[str, str],
    readers: _Readers,
    check: Callable[[Mapping[str, Any]], None],
) -> tuple[Tunnel, dict[str, Any]]:
    """Return the tunnel, and the options that are not the tunnel's. Everything is checked now, while the user is
    looking: `listen` could only fail later."""
    given: dict[str, Any] = {}
    of_tunnel: dict[str, Any] = {}
    tunnels: list[Tunnel] = []
    unread = set(options)

    def take(name: str, text: str) -> None:
        if name not in readers:
            known = ", ".join(each for each in readers if each not in REFUSED)
            what = "is not an option of such an endpoint"
            raise refused_option(printable(name, 60), what, f"the options are {known}")
        (of_tunnel if name in TUNNEL_OPTIONS else given)[name] = readers[name](name, text)
        unread.discard(name)

    def make() -> None:
        if len(arguments) > 2 or (len(arguments) == 2 and not arguments[1].isdecimal()):
            raise refused_option(
                printable(":".join(arguments), 120), "is not one address",
                r"write colons in a value as \:, like server.example\:17000"
            )
        tunnels.append(Tunnel(":".join(arguments) or None, reactor=reactor, **of_tunnel))
        tunnels[0].check()

    def look() -> None:
        if not unread & {"remote", "dial", "public"}:  # else a required option is there, and was refused already
            check(given)

    gathered(*[partial(take, name, text) for name, text in options.items()], make, look)
    return tunnels[0], given
