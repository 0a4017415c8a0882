"""Addresses as users write them: `host:port`, `[v6]:port`, a port alone, `unix:/path`. Text only; resolves nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Address", "HostPort", "InProcess", "Ip", "UnixPath", "host_of", "is_ip", "is_wildcard", "parse_address",
    "parse_host_port", "parse_port", "plain_address",
]  # fmt: skip

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address. `host` is a name or an IP literal without brackets; port 0 means "any" where that makes sense."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A unix stream socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class InProcess(UnixPath):
    """A target in this process, which no text names and nobody dials. `arrive(source)` returns an `ILocal` for a
    visitor from the address `source`, or raises DialFailed. With `datagrams` it is called with
    `(source, idle, dropped)`, like the function that makes flows. `look(factory)` connects a Twisted factory for a
    health check, and returns a Deferred of the protocol. Two are equal if they lead to the same object."""

    path: str = field(default="", init=False)
    arrive: Callable[..., Any]
    look: Callable[[Any], Any]
    datagrams: bool = False

    def __str__(self) -> str:
        return "this process"


Address = HostPort | UnixPath
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_port(text: str | int, *, zero: bool = False) -> int:
    """Return a port number. Raises ValueError with one line; `zero` permits 0."""
    if isinstance(text, bool) or not isinstance(text, (int, str)):
        raise ValueError(f"{text!r} is not a port number")
    if isinstance(text, str) and not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ValueError(f"{text[:40]!r} is not a port number")
    port = int(text)
    if not (0 if zero else 1) <= port <= MAX_PORT:
        raise ValueError(f"port {port} is not between {0 if zero else 1} and {MAX_PORT}")
    return port


def parse_host_port(
    text: str, *, default_host: str | None = None, default_port: int | None = None, zero: bool = False
) -> HostPort:
    """Parse `host:port`. An absent host or port takes its default; without a default it raises ValueError."""
    host, port_text = _split(text.strip())
    if not host:
        if default_host is None:
            raise ValueError(f"{text!r} names no host")
        host = default_host
    if port_text is None:
        if default_port is None:
            raise ValueError(f"{text!r} names no port")
        return HostPort(_checked_host(host), default_port)
    return HostPort(_checked_host(host), parse_port(port_text, zero=zero))


def parse_address(text: str | int, *, default_host: str = "127.0.0.1", default_port: int | None = None) -> Address:
    """Parse the address of a service: a port alone (on `default_host`), `host:port`, or `unix:/path`. Raises
    ValueError."""
    if isinstance(text, int) or text.strip().isdigit():
        return HostPort(default_host, parse_port(text if isinstance(text, int) else text.strip()))
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        if not path.startswith("/"):
            raise ValueError(f"{text!r}: the path of a unix socket must be absolute")
        if "\0" in path:
            raise ValueError(f"{text!r}: the path of a unix socket has a NUL character")
        if len(path.encode()) > 107:
            raise ValueError(f"{text!r}: the path of a unix socket has at most 107 bytes")
        return UnixPath(path)
    return parse_host_port(text, default_host=default_host, default_port=default_port)


def is_ip(host: str) -> bool:
    """Return whether this is an IP address, with or without a zone, and not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def plain_address(host: str) -> Ip | None:
    """Return an IP address without its zone, and an IPv4-mapped IPv6 address as IPv4, so that an IPv4 visitor of a
    listener on [::] has the same address as elsewhere. Return None for anything else."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def host_of(text: str) -> str:
    """Return the host of an address that may be followed by a port, as some proxies write it."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def is_wildcard(host: str) -> bool:
    """Return whether binding to `host` means every address of its family."""
    return host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not an address; an IPv6 one is written [::1]:6443")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        raise ValueError(f"{text!r} is not an address; an IPv6 one is written [::1]:6443")
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _checked_host(host: str) -> str:
    if ":" in host:
        address, percent, scope = host.partition("%")
        ipaddress.IPv6Address(address)
        # The zone names an interface; ipaddress accepts any text there.
        if percent and not re.fullmatch(r"[A-Za-z0-9._-]{1,15}", scope):
            raise ValueError(f"{host[:60]!r} does not end in the name of an interface")
        return host
    # Resolvers accept no empty label and none longer than this, and Python's raises where nobody can catch it.
    fits = all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    if not fits or len(host) > 253 or not all(c.isascii() and (c.isalnum() or c in "-._") for c in host):
        raise ValueError(f"{host[:60]!r} is not a host name or an IP address")
    if host.replace(".", "").isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv4 address") from None
    return host
