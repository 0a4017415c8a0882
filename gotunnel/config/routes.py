"""The kinds of values for forwards: where to listen, what to dial, and which clients may dial what."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from gotunnel.address import Address, HostPort, UnixPath, parse_address, parse_host_port
from gotunnel.config.kinds import Kind, each, text_of, wrong
from gotunnel.config.reading import bindable, is_number, parsed, read_port
from gotunnel.config.scalars import shown
from gotunnel.dialrules import MappingTarget, parse_rule, parse_target

__all__ = [
    "ClientPatterns", "DialRuleList", "DialTarget", "FileMode", "ForwardListen", "GroupName", "GroupPatterns",
    "NodeHost", "NodeList", "NodePatterns", "SocketMode", "SocketPath", "read_forward_listen",
]  # fmt: skip


def read_forward_listen(value: Any) -> Address:
    """Return where a client listens for a forward. A port alone is on 127.0.0.1. Raises the error of `wrong`."""
    if isinstance(value, (HostPort, UnixPath)):
        return value
    cure = 'write a port, "ip:port" with an IP address of this machine, or "unix:/path"'
    if is_number(value):
        return HostPort("127.0.0.1", read_port(value, zero=True))

    def parse(text: str) -> Address:
        if text.startswith("unix:"):
            return parse_address(text)
        return parse_host_port(text, default_host="127.0.0.1", zero=True)

    found = parsed(value, "an address", cure, parse)
    if isinstance(found, UnixPath):
        return found
    assert isinstance(found, HostPort)
    return bindable(found, cure)


def _read_dial(value: Any) -> Address | MappingTarget:
    if isinstance(value, (HostPort, UnixPath, MappingTarget)):
        return value
    cure = 'write "host:port", "unix:/path" or "mapping:CLIENT/NAME"'
    if is_number(value):
        return HostPort("127.0.0.1", read_port(value))
    found = parsed(value, "something to dial", cure, parse_target)
    if isinstance(found, UnixPath) and not (found.path.isascii() and found.path.isprintable()):
        raise wrong("the path of the socket has a character that is not printable ASCII", cure)
    assert isinstance(found, (HostPort, UnixPath, MappingTarget))
    return found


def _read_dial_rules(value: Any) -> tuple[str, ...]:
    cure = 'write rules like "10.0.0.0/8:443", "db.example.org:5432" or "mapping:CLIENT/NAME"'

    def read(item: Any) -> str:
        text = text_of(item, "a rule", cure)
        parsed(item, "a rule", cure, parse_rule)
        return str(text)

    return each(value, read)


def _read_client_patterns(value: Any) -> tuple[str, ...]:
    cure = 'write names of clients, like "worker-1" or "worker-*"'

    def read(item: Any) -> str:
        name = text_of(item, "a client's name", cure)
        if not re.fullmatch(r"[A-Za-z0-9._*-]{1,64}", name):
            raise wrong(f"{shown(item)} is not a client's name, nor a pattern of names", cure)
        return str(name)

    return each(value, read)


def _read_group(value: Any) -> str:
    cure = "write a name of 1 to 64 of A-Z a-z 0-9 . _ -"
    name = text_of(value, "the name of a group", cure)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise wrong(f"{shown(value)} is not the name of a group", cure)
    return str(name)


def _read_group_patterns(value: Any) -> tuple[str, ...]:
    cure = 'write names of groups, like "apiserver" or "api*"'

    def read(item: Any) -> str:
        name = text_of(item, "the name of a group", cure)
        if not re.fullmatch(r"[A-Za-z0-9._*-]{1,64}", name):
            raise wrong(f"{shown(item)} is not the name of a group, nor a pattern of names", cure)
        return str(name)

    return each(value, read)


class FileMode(int):
    """The mode of a file; as text it is octal."""

    def __str__(self) -> str:
        return f"{int(self):04o}"


def _read_socket_path(value: Any) -> UnixPath:
    cure = 'write the path of a unix socket, like "unix:/run/gotunnel/egress.sock"'
    if isinstance(value, UnixPath):
        return value
    found = parsed(value, "a unix socket", cure, parse_address)
    if not isinstance(found, UnixPath):
        raise wrong(f"{shown(value)} is not a unix socket", cure)
    return found


def _read_nodes(value: Any) -> tuple[str, ...]:
    return _read_node_texts(value, r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", "an address, a network or a name")


def _read_node_patterns(value: Any) -> tuple[str, ...]:
    return _read_node_texts(value, r"[A-Za-z0-9._*-]{1,128}", "an address, a network or a name, nor a pattern of names")


def _read_node_texts(value: Any, names: str, noun: str) -> tuple[str, ...]:
    cure = 'write addresses, networks or names, like ["10.0.0.11", "10.0.0.0/24", "worker-1"]'

    def read(item: Any) -> str:
        text = str(text_of(item, noun, cure))
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            if "host bits" in str(error) or not re.fullmatch(names, text) or text.replace(".", "").isdigit():
                raise wrong(f"{shown(item)} is not {noun}", cure) from None
        return text

    return each(value, read)


def _read_node_host(value: Any) -> str:
    cure = "write a host name or an IP address, without a port"

    def parse(text: str) -> str:
        return parse_host_port(f"[{text}]" if ":" in text else text, default_port=1).host

    return str(parsed(value, "a host", cure, parse))


def _read_mode(value: Any) -> FileMode:
    cure = 'write it in quotes, in octal, like "0660"'
    if isinstance(value, FileMode):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong(f"{shown(value)} is a number, and YAML may have read it in another base", cure)
    text = text_of(value, "the mode of a file", cure)
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise wrong(f"{shown(value)} is not the mode of a file", cure)
    return FileMode(text, 8)


_ADDRESS = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, {"type": "string"}]}
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

ForwardListen = Annotated[Address, Kind('port, "ip:port" or "unix:/path"', read_forward_listen, json=_ADDRESS)]
DialTarget = Annotated[
    Address | MappingTarget, Kind('"host:port", "unix:/path" or "mapping:CLIENT/NAME"', _read_dial, json=_ADDRESS)
]
DialRuleList = Annotated[
    tuple[str, ...],
    Kind('rules, like ["10.0.0.0/8:443", "db.example:5432", "mapping:CLIENT/NAME"]', _read_dial_rules, list, _TEXTS),
]
ClientPatterns = Annotated[
    tuple[str, ...], Kind('names of clients, "*" for any characters', _read_client_patterns, list, _TEXTS)
]
GroupName = Annotated[str, Kind("1 to 64 of A-Z a-z 0-9 . _ -", _read_group)]
GroupPatterns = Annotated[
    tuple[str, ...], Kind('names of groups, "*" for any characters', _read_group_patterns, list, _TEXTS)
]
NodeList = Annotated[tuple[str, ...], Kind("addresses, networks, names", _read_nodes, list, _TEXTS)]
NodePatterns = Annotated[
    tuple[str, ...],
    Kind('addresses, networks, names with "*" for any characters', _read_node_patterns, list, _TEXTS),
]
NodeHost = Annotated[str, Kind("host name or IP address", _read_node_host)]
SocketPath = Annotated[UnixPath, Kind('"unix:/path"', _read_socket_path)]
SocketMode = Annotated[FileMode, Kind('octal digits in quotes, like "0660"', _read_mode)]
