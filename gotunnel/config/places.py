"""Tells whether two addresses to listen on collide, to check a file's own ports before any attempt to listen."""

from __future__ import annotations

from collections.abc import Iterable

from gotunnel.address import HostPort, is_wildcard

__all__ = ["OWN_PORT", "OWN_PORT_CURE", "collide"]

OWN_PORT = "has a port that this file gives to something else of this server already"
OWN_PORT_CURE = "choose another one: server.addr, server.admin.addr and each listener need a port of their own"


def collide(place: HostPort | None, others: Iterable[HostPort | None]) -> bool:
    """Return whether `place` collides with one of the others. Port 0 is any free port."""
    return place is not None and place.port != 0 and any(
        other is not None and other.port == place.port and (_covers(place, other) or _covers(other, place))
        for other in others
    )


def _covers(one: HostPort, other: HostPort) -> bool:
    if is_wildcard(one.host):
        return ":" in one.host or ":" not in other.host  # [::] includes IPv4
    return one.host == other.host
