"""The header of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a target is told of its
visitor ahead of his first byte. Addresses are text, as an OPEN has them; nothing is read here."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Literal

from gotunnel.address import parse_host_port, plain_address

__all__ = ["ProxyVersion", "encode_proxy_header", "proxy_header_of_nobody"]

ProxyVersion = Literal["v1", "v2"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = b"\x20", b"\x21"  # version 2 in the high half, the command in the low one
_TCP4, _TCP6 = b"\x11", b"\x21"
_UNIQUE_ID = 5
_MOST_ID = 128
"""Bytes of a unique id that receivers must take."""

_NOBODY: dict[ProxyVersion, bytes] = {
    "v1": b"PROXY UNKNOWN\r\n",
    "v2": _SIGNATURE + _LOCAL + b"\0\0\0",
}

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_header_of_nobody(version: ProxyVersion) -> bytes:
    """Return the header of a connection of our own, like a health check's, and of a visitor of whom nothing is known:
    `UNKNOWN` in version 1, `LOCAL` in version 2. The receiver goes by the connection itself."""
    return _NOBODY[version]


def encode_proxy_header(
    version: ProxyVersion, source: str, destination: str | None = None, unique_id: str = ""
) -> bytes:
    """Return the header for a visitor from `source` who came to `destination`.

    A source that is no IP address (a unix socket's, a name) makes him unknown, see above. A destination that is not
    known, or is none, becomes the unspecified address, port 0. Zones are left out, and an IPv4-mapped address is its
    IPv4 address; where the two differ in family both are written as IPv6, as HAProxy does. Version 2 carries
    `unique_id`, if it is not empty, as PP2_TYPE_UNIQUE_ID.
    """
    came_from = _place(source)
    if came_from is None:
        return _NOBODY[version]
    (ip, port), (to_ip, to_port) = came_from, _place(destination or "") or (None, 0)
    if to_ip is None or to_ip.is_unspecified:
        to_ip = _UNSPECIFIED[ip.version]
    if ip.version != to_ip.version:
        ip, to_ip = _mapped(ip), _mapped(to_ip)
    if version == "v1":
        family = "TCP4" if ip.version == 4 else "TCP6"
        return f"PROXY {family} {_text(ip)} {_text(to_ip)} {port} {to_port}\r\n".encode("ascii")
    body = ip.packed + to_ip.packed + port.to_bytes(2, "big") + to_port.to_bytes(2, "big")
    unique = unique_id.encode("utf-8")[:_MOST_ID]
    if unique:
        body += bytes((_UNIQUE_ID, 0, len(unique))) + unique
    return b"".join(
        (_SIGNATURE, _PROXY, _TCP4 if ip.version == 4 else _TCP6, len(body).to_bytes(2, "big"), body)
    )


_UNSPECIFIED: dict[int, _Ip] = {4: ipaddress.IPv4Address(0), 6: ipaddress.IPv6Address(0)}


def _place(text: str) -> tuple[_Ip, int] | None:
    """Return IP address and port of `host:port`; port 0 where there is none, None where the host is no IP address."""
    try:
        found = parse_host_port(text, default_port=0, zero=True)
    except ValueError:
        return None
    ip = _ip(found.host)
    return None if ip is None else (ip, found.port)


_ip = lru_cache(maxsize=1024)(plain_address)


def _mapped(ip: _Ip) -> _Ip:
    return ip if ip.version == 6 else ipaddress.IPv6Address(0xFFFF00000000 | int(ip))


def _text(ip: _Ip) -> str:
    """As `str`, whose word for a mapped address depends on the version of Python."""
    if ip.version == 6 and ip.ipv4_mapped is not None:
        low = int(ip.ipv4_mapped)
        return f"::ffff:{low >> 16:x}:{low & 0xFFFF:x}"
    return str(ip)
