"""Checks for what a role would refuse at its start although its file is valid: the file names something that cannot be
used. The checks write nothing, open nothing to others and ask nobody, so they are safe while a role runs."""

from __future__ import annotations

from pathlib import Path

from gotunnel.client.checks import check_for
from gotunnel.client.identity import ClientIdentity
from gotunnel.client.memory import VersionMemory
from gotunnel.client.service import check_version
from gotunnel.config.client import ClientConfig
from gotunnel.config.health import OWN
from gotunnel.config.server import ServerConfig
from gotunnel.net.certificates import load_authorities
from gotunnel.net.choice import check_relay
from gotunnel.net.plugged import checked
from gotunnel.server.identity import Identity
from gotunnel.server.plugins import check_authenticators

__all__ = ["check_client_start", "check_server_start"]


def check_server_start(config: ServerConfig, state: Path) -> None:
    """Raise the GotunnelError that a server would raise at its start with this state folder."""
    checked("listener", *config.listeners)
    check_relay(config.relay)
    tls = config.tls
    if tls.cert is not None:
        Identity(tls, state, None, legs=False)
    elif tls.client_ca is not None:  # the server makes and renews its own certificate
        load_authorities(tls.client_ca)
    checked("ports", config.port_allocator)
    check_authenticators(config)
    checked("access", config.access)
    checked("observer", *config.observers)


def check_client_start(config: ClientConfig, state: Path) -> None:
    """Raise the GotunnelError that a client would raise at its start with this state folder."""
    check_version(config, VersionMemory(state))
    checked("transport", config.transport)
    if not config.v1:
        check_relay(config.relay)
        if config.tls.mode != "off":
            ClientIdentity(config, None, legs=False)
    for mapping in config.mappings:
        if mapping.health is not None and mapping.health.type in OWN:
            check_for(None, mapping)
    checked("observer", *config.observers)
