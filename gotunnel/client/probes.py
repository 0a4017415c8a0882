"""The probes of a client, imported on first use. Most clients probe nothing, and the probes need parts of the portable
relay, which those clients do not load otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from gotunnel.address import Address
    from gotunnel.client.forwards import Forwards
    from gotunnel.config.model import ForwardConfig, MappingConfig
    from gotunnel.interfaces import IHealthCheck, IRelay

__all__ = ["ask_for_tls", "ask_through", "check_for"]


def check_for(reactor: Any, mapping: MappingConfig) -> IHealthCheck:
    """See `gotunnel.client.checks`."""
    from gotunnel.client import checks

    return checks.check_for(reactor, mapping)


def ask_for_tls(clock: Any, target: Address, begins: bytes = b"") -> Deferred[str | None]:
    """See `gotunnel.client.tlsprobe`."""
    from gotunnel.client import tlsprobe

    return tlsprobe.ask_for_tls(clock, target, begins)


def ask_through(reactor: Any, relay: IRelay, forwards: Forwards, config: ForwardConfig) -> Deferred[str | None]:
    """See `gotunnel.client.forwardprobe`."""
    from gotunnel.client import forwardprobe

    return forwardprobe.ask_through(reactor, relay, forwards, config)
