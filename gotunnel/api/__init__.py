"""gotunnel for programs: tunnels as objects, as Twisted endpoints, and in one line with `async with`. The names that
this module exports are public and stable; anything else may change."""

from __future__ import annotations

from gotunnel.api.addresses import TunnelAddress
from gotunnel.api.endpoints import TunnelClientEndpoint, TunnelServerEndpoint
from gotunnel.api.events import Connected, Event, Lost, MappingClosed, MappingOpened
from gotunnel.api.exposing import Expose, expose
from gotunnel.api.port import PublicPort
from gotunnel.api.threads import Background, BackgroundPort
from gotunnel.api.tunnel import Tunnel
from gotunnel.errors import (
    AuthRejected,
    ConfigError,
    DialFailed,
    GotunnelError,
    NotConnected,
    PortUnavailable,
)

__all__ = [
    "AuthRejected",
    "Background",
    "BackgroundPort",
    "ConfigError",
    "Connected",
    "DialFailed",
    "Event",
    "Expose",
    "GotunnelError",
    "Lost",
    "MappingClosed",
    "MappingOpened",
    "NotConnected",
    "PortUnavailable",
    "PublicPort",
    "Tunnel",
    "TunnelAddress",
    "TunnelClientEndpoint",
    "TunnelServerEndpoint",
    "expose",
]
