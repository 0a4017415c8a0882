"""Reads the PROXY protocol header, version 1 or 2, that a load balancer sends before a connection's first byte.

Reading is strict: anything that is not exactly a header is refused. Writing is in `proxyheader`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from gotunnel.address import HostPort, plain_address
from gotunnel.errors import RemoteProtocolError

__all__ = ["MOST_HEADER", "ProxyHeader", "read_proxy_header"]

MOST_HEADER = 4096
"""The longest header accepted, in bytes. Usual headers have 28 or 52; extensions can add some hundred more."""
_MOST_LINE = 107  # of version 1, with its line end
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16  # bytes of the fixed part of version 2
_LINE = re.compile(r"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})")
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_TCP4: 4, _TCP6: 16}


class ProxyHeader(NamedTuple):
    """A header of `length` bytes. Without a `source`, use the address of the connection itself.

    There are two such cases. If `own` is True, the connection is the balancer's own, such as a health check: LOCAL in
    version 2; in version 1 UNKNOWN, which it also sends for clients it does not know. Otherwise the client behind the
    balancer has no IP address.
    """

    length: int
    source: HostPort | None = None
    destination: HostPort | None = None
    own: bool = False


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header at the start of `data`. Returns None if the header is still incomplete.

    Raises RemoteProtocolError if `data` does not start with a valid header.
    """
    if data.startswith(_SIGNATURE[: len(data)]):
        return _version_2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _version_1(data)
    raise _wrong("it does not begin with one")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _MOST_LINE)
    if end < 0:
        if len(data) >= _MOST_LINE:
            raise _wrong(f"its line is longer than {_MOST_LINE} bytes")
        return None
    line = data[:end].decode("latin-1")
    if line == "PROXY UNKNOWN" or line.startswith("PROXY UNKNOWN "):
        return ProxyHeader(end + 2, own=True)
    found = _LINE.fullmatch(line)
    if found is None:
        raise _wrong("its line is not one of version 1")
    kind = ipaddress.IPv4Address if found[1] == "4" else ipaddress.IPv6Address
    try:
        hosts = kind(found[2]), kind(found[3])
    except ValueError:
        raise _wrong(f"its line has an address that is not of IPv{found[1]}") from None
    ports = int(found[4]), int(found[5])
    if max(ports) > 65535:
        raise _wrong("its line has a port beyond 65535")
    source, destination = (_place(*each) for each in zip(hosts, ports, strict=True))
    return ProxyHeader(end + 2, source, destination)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    version_and_command, family = data[12], data[13]
    length = _FIXED + int.from_bytes(data[14:_FIXED], "big")
    if version_and_command not in (0x20, 0x21):
        raise _wrong("its version or command is unknown")
    if length > MOST_HEADER:
        raise _wrong(f"it is longer than {MOST_HEADER} bytes")
    if len(data) < length:
        return None
    if version_and_command == 0x20:
        return ProxyHeader(length, own=True)
    if family in (_UNSPECIFIED, _UNIX):
        return ProxyHeader(length)
    size = _ADDRESS_BYTES.get(family)
    if size is None:
        raise _wrong("it is not of TCP")
    ends = _FIXED + size, _FIXED + 2 * size, _FIXED + 2 * size + 4
    if length < ends[2]:
        raise _wrong("it is too short for its addresses")
    kind = ipaddress.IPv4Address if family == _TCP4 else ipaddress.IPv6Address
    ports = data[ends[1] : ends[2]]
    return ProxyHeader(
        length,
        _place(kind(data[_FIXED : ends[0]]), int.from_bytes(ports[:2], "big")),
        _place(kind(data[ends[0] : ends[1]]), int.from_bytes(ports[2:], "big")),
    )


def _place(host: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> HostPort:
    text = str(host)
    return HostPort(str(plain_address(text) or text), port)


def _wrong(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"no header of the PROXY protocol: {what}")
