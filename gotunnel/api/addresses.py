"""Twisted addresses for the ends of a tunnel."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from gotunnel.address import HostPort, is_ip, parse_host_port

__all__ = ["TunnelAddress", "twisted_address"]


@implementer(IAddress)
@dataclass(frozen=True, slots=True)
class TunnelAddress:
    """An address that is not an IP address. `text` is gotunnel's word for it: a name and a port, or a mapping."""

    text: str

    def __str__(self) -> str:
        return self.text


def twisted_address(what: object, protocol: str = "tcp") -> IPv4Address | IPv6Address | TunnelAddress:
    """Return `host:port`, a HostPort or anything else as a Twisted address; `protocol` is `tcp` or `udp`."""
    try:
        found = what if isinstance(what, HostPort) else parse_host_port(str(what))
    except ValueError:
        return TunnelAddress(str(what))
    if not is_ip(found.host):
        return TunnelAddress(str(what))
    kind = IPv6Address if ":" in found.host else IPv4Address
    return kind("UDP" if protocol == "udp" else "TCP", found.host, found.port)
