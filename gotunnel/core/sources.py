"""What counts as one source of connections: an IPv4 address, or the /64 of an IPv6 one. Counts nothing itself."""

from __future__ import annotations

import ipaddress

from gotunnel.address import plain_address

__all__ = ["source_of"]


def source_of(address: str) -> str:
    """Return the source that an address belongs to. What is no IP address ("unix") is a source of its own.

    Whoever has one IPv6 address has the 2**64 of its network too. An IPv4 address in IPv6 clothes is the IPv4 one.
    """
    parsed = plain_address(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"
