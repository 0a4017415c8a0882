"""The checks of a mapping with `protocol: udp`, and the limits of a flow's idle time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.address import HostPort, InProcess
from gotunnel.config.kinds import Part, seconds

if TYPE_CHECKING:
    from gotunnel.config.mapping import MappingConfig

__all__ = ["DEFAULT_IDLE", "IDLE", "LEAST_IDLE", "MOST_IDLE", "amiss_with_udp"]

DEFAULT_IDLE = 60.0
LEAST_IDLE, MOST_IDLE = 1, 3600
"""Seconds. A server enforces these limits for its clients as well."""
IDLE = seconds(LEAST_IDLE, MOST_IDLE, why="a flow is not to end between two datagrams, nor to hold its leg for ever")


def amiss_with_udp(mapping: MappingConfig) -> list[Part]:
    """Return the mistakes of keys that do not fit `protocol: udp`, or that need it and are used with `tcp`."""
    if mapping.protocol == "tcp":
        if mapping.idle is not None:
            return [(("idle",), "is for protocol: udp", "add protocol: udp, or remove it")]
        return []
    parts: list[Part] = []
    local, health = mapping.local, mapping.health
    if isinstance(local, InProcess):
        if not local.datagrams:
            what = "what listens for connections takes no datagrams"
            parts.append((("local",), what, "give a DatagramProtocol, or a port or an address that speaks UDP"))
    elif not isinstance(local, HostPort):
        parts.append((("local",), f"{local} takes no datagrams", 'write "host:port" of a service that speaks UDP'))
    if not mapping.public:
        parts.append((("public",), "clients reach each other by TCP, and this is protocol: udp", "remove public"))
    if mapping.clients:
        parts.append((("clients",), "reach a mapping by forwards, which are TCP; this is protocol: udp", "remove it"))
    if mapping.group is not None:
        parts.append((("group",), "is for TCP: clients cannot share a port with protocol: udp", "remove it"))
    if not mapping.encrypt:
        what = "cannot be false with protocol: udp: it is for what is TLS already, as datagrams are not"
        parts.append((("encrypt",), what, "remove it"))
    if mapping.proxy_protocol != "off":
        parts.append((("proxy_protocol",), "goes ahead of a stream, which protocol: udp has none of", "remove it"))
    from gotunnel.config.health import OWN  # imported late: a server does not need it

    if health is not None and health.type in OWN:
        what = f"{health.type} probes a service by connecting to it, and this one takes datagrams"
        parts.append((("health",), what, "write type: command and what asks the service, or remove it"))
    return parts
