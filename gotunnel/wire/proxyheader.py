"""Writes the header of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt), for a target.

The header precedes the visitor's first byte. Addresses are text, as in an OPEN. Reading is in `proxyread`.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Literal

from gotunnel.address import parse_host_port, plain_address

__all__ = ["ProxyVersion", "encode_proxy_header", "proxy_header_of_nobody"]

ProxyVersion = Literal["v1", "v2"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = b"\x20", b"\x21"  # high half: version 2; low half: the command
_TCP4, _TCP6 = b"\x11", b"\x21"
_UNIQUE_ID = 5
_MOST_ID = 128
"""The longest unique id, in bytes, that receivers must accept."""

_NOBODY: dict[ProxyVersion, bytes] = {
    "v1": b"PROXY UNKNOWN\r\n",
    "v2": _SIGNATURE + _LOCAL + b"\0\0\0",
}

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_header_of_nobody(version: ProxyVersion) -> bytes:
    """Return the header for our own connections, such as health checks, and for a visitor with an unknown address.

    It is `UNKNOWN` in version 1 and `LOCAL` in version 2. The receiver uses the addresses of the connection itself.
    """
    return _NOBODY[version]


def encode_proxy_header(
    version: ProxyVersion, source: str, destination: str | None = None, unique_id: str = ""
) -> bytes:
    """Return the header for a visitor from `source` that connected to `destination`.

    - If the source is not an IP address (a unix socket, a name), the visitor is unknown, see above.
    - A destination that is unknown or not an IP address is written as the unspecified address, port 0.
    - Zones are omitted, and an IPv4-mapped address is written as its IPv4 address.
    - If source and destination differ in family, both are written as IPv6, as HAProxy does.
    - Version 2 carries a non-empty `unique_id` as PP2_TYPE_UNIQUE_ID.
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
    """Return IP address and port of `host:port`; port 0 if there is none, None if the host is not an IP address."""
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
    """Like `str`, but independent of the Python version, which decides how `str` writes an IPv4-mapped address."""
    if ip.version == 6 and ip.ipv4_mapped is not None:
        low = int(ip.ipv4_mapped)
        return f"::ffff:{low >> 16:x}:{low & 0xFFFF:x}"
    return str(ip)
