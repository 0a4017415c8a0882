"""Tells whether an IP address belongs to this machine, according to the kernel. Used to check where a name leads."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct

from gotunnel.address import plain_address

__all__ = ["is_own"]

_GETROUTE, _NEWROUTE, _ERROR, _REQUEST, _DST, _LOCAL = 26, 24, 2, 1, 1, 2  # linux/rtnetlink.h
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=8BI")
_ATTRIBUTE = struct.Struct("=HH")


def is_own(ip: str) -> bool:
    """Return whether packets to this IP address stay on this machine (in this network namespace)."""
    found = plain_address(ip)
    if found is None:
        raise ValueError(f"{ip!r} is not an IP address")
    local = _by_route(found)
    return _by_bind(found) if local is None else local


def _by_route(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool | None:
    """Ask Linux for the route to it; None if it cannot be asked."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.packed
    body = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _DST) + packed
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:  # 0: NETLINK_ROUTE
            kernel.send(_HEADER.pack(_HEADER.size + len(body), _GETROUTE, _REQUEST, 1, 0) + body)
            answer = kernel.recv(4096, socket.MSG_DONTWAIT)  # the answer is queued before `send` returns
    except (AttributeError, OSError):
        return None
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _ERROR:
        return False  # there is no route at all
    kind_of_route: int = _ROUTE.unpack_from(answer, _HEADER.size)[7]
    return kind_of_route == _LOCAL if kind == _NEWROUTE else None


def _by_bind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Try to bind to it, which elsewhere only its owner can do. Doubtful cases count as our own."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as failed:
        return failed.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True
