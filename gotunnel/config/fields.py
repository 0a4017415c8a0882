"""The kinds of values that are specific to gotunnel: addresses, ports, names, tokens."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import SecretStr

from gotunnel.address import Address, HostPort, UnixPath, parse_address, parse_host_port, parse_port
from gotunnel.config import tokens
from gotunnel.config.kinds import Kind, each, text_of, wrong
from gotunnel.config.reading import bindable, is_number, listen_address, parsed, read_port
from gotunnel.config.scalars import Text, shown

__all__ = [
    "DEFAULT_PORT",
    "BindAddresses",
    "ClientName",
    "FreePortList",
    "LegName",
    "ListenAddress",
    "MappingName",
    "PortList",
    "PortRule",
    "PortRules",
    "Remote",
    "RemotePort",
    "ServerAddress",
    "ServerList",
    "ServerName",
    "Target",
    "Token",
    "Tokens",
    "UdpPortRules",
    "read_client_name",
    "read_mapping_name",
    "read_remote",
    "read_target",
    "read_token",
    "read_tokens",
]

DEFAULT_PORT = 17000
"""The port of a server, the same as the original's."""

MAX_TOKENS = 2
"""How many tokens of one client may be valid at once: an old one and its replacement."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a mapping listens on the server. `bind` None means the server's own address, `port` 0 any free port."""

    bind: str | None
    port: int

    def __str__(self) -> str:
        return str(self.port) if self.bind is None else str(HostPort(self.bind, self.port))


PortRule = int | str
"""A port, or a range written "1024-65535"."""


def _port_again(port: int) -> tuple[str, str] | None:
    return (f"port {port} appears twice", "name it once; mappings can publish a service twice") if port else None


def _read_ports(value: Any) -> tuple[int, ...]:
    return each(value, read_port, _port_again)


def _read_free_ports(value: Any) -> tuple[int, ...]:
    return each(value, lambda item: read_port(item, zero=True), _port_again)


def _read_listen(value: Any) -> HostPort:
    cure = f'write an IP address of this machine and a port, like "0.0.0.0:{DEFAULT_PORT}"'
    return listen_address(value, cure, "0.0.0.0", port=DEFAULT_PORT, zero=True)  # noqa: S104 - a port alone: documented


def _read_server_address(value: Any) -> HostPort:
    if isinstance(value, HostPort):
        return value
    cure = f'write host and port of the server, like "tunnel.example.com:{DEFAULT_PORT}"'
    if is_number(value):
        raise wrong(f"{shown(value)} names no host", cure)
    found = parsed(value, "an address", cure, lambda text: parse_host_port(text, default_port=DEFAULT_PORT))
    assert isinstance(found, HostPort)
    return found


def _server_again(server: HostPort) -> tuple[str, str]:
    return f"{server} appears twice", "name it once"


def read_target(value: Any) -> Address:
    """Return the address of a service, as seen from a client. A port alone is on 127.0.0.1. Raises the error of
    `wrong`."""
    if isinstance(value, (HostPort, UnixPath)):
        return value
    cure = 'write a port, "host:port" or "unix:/path"'
    if is_number(value):
        return HostPort("127.0.0.1", read_port(value))
    found = parsed(value, "an address", cure, parse_address)
    # Such a path can become the name of a mapping, which is sent to the server.
    if isinstance(found, UnixPath) and not (found.path.isascii() and found.path.isprintable()):
        raise wrong("the path of the socket has a character that is not printable ASCII", cure)
    assert isinstance(found, (HostPort, UnixPath))
    return found


def read_remote(value: Any) -> Remote:
    """Return where a mapping listens on the server. Raises the error of `wrong`."""
    if isinstance(value, Remote):
        return value
    cure = 'write a port (0: any free one), or "ip:port" with an IP address of the server'
    if is_number(value):
        return Remote(None, read_port(value, zero=True))

    def parse(text: str) -> HostPort:
        return parse_host_port(text, zero=True)

    address = bindable(parsed(value, "a port or an address", cure, parse), cure)
    return Remote(address.host, address.port)


def _read_rule(value: Any) -> PortRule:
    cure = 'write ports and ranges, like ["1024-65535", 443]'
    if is_number(value):
        return read_port(value)
    text = text_of(value, "a port or a range of ports", cure)
    low, _, high = (part.strip() for part in text.partition("-"))
    try:
        first, last = parse_port(low), parse_port(high)
    except ValueError:
        raise wrong(f"{shown(value)} is not a port or a range of ports", cure) from None
    if first > last:
        raise wrong(f"the range {shown(value)} ends before it begins", f'write "{last}-{first}"')
    return f"{first}-{last}"


def _read_rules(value: Any) -> tuple[PortRule, ...]:
    found = each(value, _read_rule)
    if not found:
        raise wrong("allows no port at all", 'write ports and ranges, like ["1024-65535", 443]')
    return found


def _read_bind(value: Any) -> str:
    cure = "write an IP address of the server, as a mapping's remote has it"

    def parse(text: str) -> str:
        # ipaddress accepts anything after a %, where an interface is named.
        if not text.isascii() or not text.isprintable():
            raise ValueError("it has a character that no address has")
        return str(ipaddress.ip_address(text))

    return str(parsed(value, "an IP address", cure, parse))


def _read_binds(value: Any) -> tuple[str, ...]:
    found = each(value, _read_bind)
    if not found:
        raise wrong("allows no address at all", "remove it to allow any, or write addresses of the server")
    return found


def read_client_name(value: Any) -> str:
    """Return the name of a client. Raises the error of `wrong`."""
    cure = "write 1 to 64 of A-Z a-z 0-9 . _ -"
    name = text_of(value, "a name", cure)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise wrong(f"{shown(value)} is not a client's name", cure)
    return str(name)


def _read_leg_name(value: Any) -> str:
    cure = "write 1 to 32 of a-z 0-9 -, beginning and ending with a letter or a digit"
    name = text_of(value, "a name", cure)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
        raise wrong(f"{shown(value)} cannot be a part of a server name", cure)
    return str(name)


def read_mapping_name(value: Any) -> str:
    """Return the name of a mapping or a forward. Raises the error of `wrong`."""
    cure = "write 1 to 128 printable ASCII characters"
    name = text_of(value, "a name", cure)
    if not re.fullmatch(r"[\x20-\x7e]{1,128}", name):
        raise wrong(f"{shown(value)} is not a mapping's name", cure)
    return str(name)


def _read_server_name(value: Any) -> str:
    cure = "write a host name or an IP address, without a port"

    def parse(text: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", text):
            ipaddress.ip_address(text)
        return text

    return str(parsed(value, "a host name", cure, parse))


def read_token(value: Any) -> SecretStr:
    """Return a token, stripped. Raises the error of `wrong` for one that does not protect; messages never show the
    token."""
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(secret, (int, float)) or (isinstance(secret, Text) and secret.meaning):
        raise wrong("YAML can read this token as a number or a word of its own", 'quote it: token: "…"')
    if not isinstance(secret, str):
        raise wrong("the token is not text", "put one token there, in quotes")
    refused = tokens.refusal(secret)
    if refused is not None:
        raise wrong(f"the token {refused[0]}", refused[1])
    return SecretStr(str(secret.strip()))


def read_tokens(value: Any) -> tuple[SecretStr, ...]:
    """Return one token or two, both valid at once. Raises the error of `wrong`, like `read_token`."""
    found = each(value, read_token)
    if not 1 <= len(found) <= MAX_TOKENS:
        what = "there is no token" if not found else f"holds {len(found)} tokens"
        raise wrong(what, f"write one, or {MAX_TOKENS} while a new one replaces an old one")
    return found


_PORT = {"type": "integer", "minimum": 0, "maximum": 65535}
_ADDRESS = {"anyOf": [_PORT, {"type": "string"}]}
_PORTS = {"anyOf": [_PORT, {"type": "string"}, {"type": "array", "items": _ADDRESS}]}

Token = Annotated[SecretStr, Kind("text, 16 characters or more", read_token)]
Tokens = Annotated[
    tuple[SecretStr, ...],
    Kind(
        "text, 16 characters or more, or list of two",
        read_tokens,
        lambda found: [str(token) for token in found],
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TOKENS}]},
    ),
]
BindAddresses = Annotated[
    tuple[str, ...],
    Kind(
        "IP address, or list of IP addresses",
        _read_binds,
        list,
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    ),
]
ClientName = Annotated[str, Kind("1 to 64 of A-Z a-z 0-9 . _ -", read_client_name)]
LegName = Annotated[str, Kind("1 to 32 of a-z 0-9 -", _read_leg_name)]
MappingName = Annotated[str, Kind("1 to 128 printable ASCII characters", read_mapping_name)]
ServerName = Annotated[str, Kind("host name or IP address", _read_server_name)]
ListenAddress = Annotated[HostPort, Kind('port, ":port" or "ip:port"', _read_listen, json=_ADDRESS)]
ServerAddress = Annotated[HostPort, Kind('"host" or "host:port"', _read_server_address)]
ServerList = Annotated[
    tuple[HostPort, ...],
    Kind(
        '"host" or "host:port", or a list',
        lambda value: each(value, _read_server_address, _server_again),
        lambda found: [str(server) for server in found],
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    ),
]
Target = Annotated[Address, Kind('port, "host:port" or "unix:/path"', read_target, json=_ADDRESS)]
RemotePort = Annotated[Remote, Kind('port (0: any free one) or "ip:port"', read_remote, json=_ADDRESS)]
PortList = Annotated[tuple[int, ...], Kind("port, or list of ports", _read_ports, list, _PORTS)]
FreePortList = Annotated[
    tuple[int, ...], Kind("port (0: any free one), or list of ports", _read_free_ports, list, _PORTS)
]
PortRules = Annotated[
    tuple[PortRule, ...], Kind('ports and ranges, like ["1024-65535", 443]', _read_rules, list, _PORTS)
]
UdpPortRules = Annotated[
    tuple[PortRule, ...],
    Kind('ports and ranges, like ["1024-65535", 443]', lambda value: each(value, _read_rule), list, _PORTS),
]
