"""Endpoints as strings, `gotunnel:server.example\\:17000:remote=8080`: their options and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gotunnel.api.endpoints import TunnelClientEndpoint, TunnelServerEndpoint
from gotunnel.api.mappings import forward_config, mapping_config, mapping_section
from gotunnel.api.settings import refused_option
from gotunnel.api.tunnel import Tunnel
from gotunnel.errors import printable

__all__ = ["CLIENT_OPTIONS", "SERVER_OPTIONS", "client_endpoint", "server_endpoint"]

LONGEST = 86_400.0
_FLAGS = {word: word in ("yes", "on", "true") for word in ("yes", "no", "on", "off", "true", "false")}


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise refused_option(name, f"{text!r} is neither yes nor no", "write yes or no")
    return _FLAGS[text.lower()]


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise refused_option(name, f"{text!r} is no number of seconds", "write a number, like 30; 0 is none")
    return seconds


def _text(name: str, text: str) -> str:
    if not text:
        raise refused_option(name, "is empty", "give it a value, or leave it out")
    return text


def _list(name: str, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _text(name, text).split(","))


def _token(name: str, text: str) -> str:
    cure = "put it into a file and name that with token_file, or set the variable GOTUNNEL_TOKEN"
    raise refused_option(name, "would stand in the list of processes, for everybody on this machine", cure)


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
"""Options of both kinds: which server, as whom."""
SERVER_OPTIONS: _Readers = {
    **TUNNEL_OPTIONS,
    "remote": _text,
    "mapping": _text,
    "encrypt": _flag,
    "public": _flag,
    "clients": _list,
    "group": _text,
    "drain": _seconds,
}
CLIENT_OPTIONS: _Readers = {**TUNNEL_OPTIONS, "dial": _text, "encrypt": _flag, "keep": _seconds}


def server_endpoint(reactor: Any, /, *arguments: str, **options: str) -> TunnelServerEndpoint:
    """Return the endpoint of `gotunnel:SERVER:remote=…`. Raises ConfigError, also for a configuration that could not be
    used."""
    tunnel, given = _read(reactor, arguments, options, SERVER_OPTIONS)
    remote = given.pop("remote", None)
    if remote is None and given.get("public", True):
        cure = "add remote=8080, or remote=0 for any free port of the server"
        raise refused_option("remote", "is missing", cure)
    # Now, while somebody looks: `listen` could only fail later.
    of_mapping = {name: value for name, value in given.items() if name != "drain"}
    mapping_config(mapping_section(1, remote, of_mapping))
    return TunnelServerEndpoint(tunnel, remote, **given)


def client_endpoint(reactor: Any, /, *arguments: str, **options: str) -> TunnelClientEndpoint:
    """Return the endpoint of `gotunnel:SERVER:dial=…`. Raises ConfigError likewise."""
    tunnel, given = _read(reactor, arguments, options, CLIENT_OPTIONS)
    target = given.pop("dial", None)
    if target is None:
        raise refused_option("dial", "is missing", r"add dial=10.0.0.7\:5432, or dial=mapping\:CLIENT/NAME")
    forward_config(target, given.get("encrypt", True))
    return TunnelClientEndpoint(tunnel, target, **given)


def _read(
    reactor: Any, arguments: tuple[str, ...], options: Mapping[str, str], readers: _Readers
) -> tuple[Tunnel, dict[str, Any]]:
    unknown = [name for name in options if name not in readers]
    if unknown:
        known = ", ".join(name for name in readers if name != "token")
        raise refused_option(printable(unknown[0], 60), "is no option of such an endpoint", f"the options are {known}")
    if len(arguments) > 2 or (len(arguments) == 2 and not arguments[1].isdecimal()):
        raise refused_option(
            printable(":".join(arguments), 120), "is not one address",
            r"write colons in a value as \:, like server.example\:17000"
        )
    given = {name: readers[name](name, text) for name, text in options.items()}
    of_tunnel = {name: given.pop(name) for name in TUNNEL_OPTIONS if name in given}
    tunnel = Tunnel(":".join(arguments) or None, reactor=reactor, **of_tunnel)
    tunnel.check()
    return tunnel, given
