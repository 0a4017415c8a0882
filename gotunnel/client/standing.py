"""The state of one mapping at one server, and the request for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gotunnel.address import HostPort
from gotunnel.config.model import MappingConfig
from gotunnel.core.dropped import Drops
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.usage import Carried
from gotunnel.wire.messages import MappingRequest

__all__ = ["MappingStatus", "Standing"]


class Standing(Enum):
    """The state of a mapping at the server."""

    PENDING = "pending"  # not requested yet, or not answered
    OPEN = "open"
    REFUSED = "refused"


@dataclass(slots=True)
class MappingStatus:
    """One mapping: its configuration, what the server last said about it, and why its target is down (None: it is
    up)."""

    config: MappingConfig
    standing: Standing = Standing.PENDING
    address: HostPort | None = None
    code: str = ""
    reason: str = ""
    down: str | None = None
    shut: str | None = None
    """Why the server does not let visitors in, in its own words; None: it does."""
    lines: LogLimit | None = None
    """The rate limit of log lines about its refusals, once there was one."""
    since: float = 0.0
    """When it was first refused for `reason`, by the link's clock."""
    carried: Carried = field(default_factory=Carried)
    dropped: Drops = field(default_factory=Drops)

    @property
    def where(self) -> str:
        """The public address, for logs."""
        return f"{self.address}/udp" if self.config.protocol == "udp" else str(self.address)

    def request(self) -> MappingRequest:
        """Return the request to the server."""
        config = self.config
        clients = config.clients or None
        public = None if config.public else False
        destination = None if config.proxy_protocol == "off" else True
        return MappingRequest(
            config.name, config.remote_port, config.bind, config.protocol, config.encrypt, public, clients,
            config.group, destination, round(config.idle_time * 1000) if config.protocol == "udp" else None,
        )  # fmt: skip
