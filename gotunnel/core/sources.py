"""Defines one source of connections: an IPv4 address, or the /64 of an IPv6 address. Counts nothing."""

from __future__ import annotations

import ipaddress

from gotunnel.address import plain_address

__all__ = ["source_of"]


def source_of(address: str) -> str:
    """Return the source that an address belongs to. Text that is no IP address ("unix") is its own source.

    An IPv6 address counts as its /64, because its holder usually has the whole network. An IPv4-mapped address counts
    as IPv4.
    """
    parsed = plain_address(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"
