"""One mapping of a client as it stands with one server, and what is asked for it there."""

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
    """How a mapping stands with the server."""

    PENDING = "pending"  # not asked for yet, or not answered
    OPEN = "open"
    REFUSED = "refused"


@dataclass(slots=True)
class MappingStatus:
    """One mapping: its configuration, what the server last said of it, and why its target is down (None: it is not)."""

    config: MappingConfig
    standing: Standing = Standing.PENDING
    address: HostPort | None = None
    code: str = ""
    reason: str = ""
    down: str | None = None
    shut: str | None = None
    """Why the server lets nobody in, by its own word."""
    lines: LogLimit | None = None
    """What was said of its refusals, once there is one."""
    since: float = 0.0
    """When it was first refused for `reason`, by the clock of its link."""
    carried: Carried = field(default_factory=Carried)
    dropped: Drops = field(default_factory=Drops)

    @property
    def where(self) -> str:
        """Where visitors come to, for logs."""
        return f"{self.address}/udp" if self.config.protocol == "udp" else str(self.address)

    def request(self) -> MappingRequest:
        """Return what is asked of the server."""
        config = self.config
        clients = config.clients or None
        public = None if config.public else False
        destination = None if config.proxy_protocol == "off" else True
        return MappingRequest(
            config.name, config.remote_port, config.bind, config.protocol, config.encrypt, public, clients,
            config.group, destination, round(config.idle_time * 1000) if config.protocol == "udp" else None,
        )  # fmt: skip
