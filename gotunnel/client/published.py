"""The mappings of a client towards one server: what each is, whether it is open there, and when to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from gotunnel.address import HostPort
from gotunnel.config.model import MappingConfig
from gotunnel.core.backoff import Backoff
from gotunnel.errors import printable
from gotunnel.logs import Logger
from gotunnel.wire.messages import MappingRequest, MappingResult

__all__ = ["MappingStatus", "Published", "Standing"]

MAPPINGS_PER_FRAME = 64
"""A mapping takes at most some 500 bytes of JSON, and a frame 64 KiB."""


class Standing(Enum):
    """How a mapping stands with the server."""

    PENDING = "pending"  # not asked for yet, or not answered
    OPEN = "open"
    REFUSED = "refused"


def _backoff() -> Backoff:
    return Backoff(first=2.0, cap=60.0)


@dataclass(slots=True)
class MappingStatus:
    """One mapping: its configuration, and what the server last said of it."""

    config: MappingConfig
    standing: Standing = Standing.PENDING
    address: HostPort | None = None
    reason: str = ""
    backoff: Backoff = field(default_factory=_backoff)

    def request(self) -> MappingRequest:
        """Return what is asked of the server. A free port that it gave once is asked for again."""
        config = self.config
        return MappingRequest(config.name, config.remote_port, config.bind, "tcp", config.encrypt)


class Published:
    """All mappings of one link. `retry(seconds, names)` is called for those that were refused."""

    log = Logger()

    def __init__(
        self, mappings: Iterable[MappingConfig], server: HostPort, retry: Callable[[float, list[str]], None]
    ) -> None:
        self.statuses = {mapping.name: MappingStatus(mapping) for mapping in mappings}
        self._server = server
        self._retry = retry

    def get(self, name: str) -> MappingConfig | None:
        """Return the mapping of that name, if this client has one."""
        status = self.statuses.get(name)
        return None if status is None else status.config

    def begin(self) -> None:
        """A new session: nothing is known of its server."""
        for status in self.statuses.values():
            status.standing = Standing.PENDING

    def batches(self, names: Iterable[str] | None = None) -> Iterator[tuple[tuple[MappingRequest, ...], bool]]:
        """Yield what to register, in frames of a fit size; the flag says that more follows."""
        requests = [self.statuses[name].request() for name in (self.statuses if names is None else names)]
        for start in range(0, len(requests), MAPPINGS_PER_FRAME):
            end = start + MAPPINGS_PER_FRAME
            yield tuple(requests[start:end]), end < len(requests)

    def answered(self, results: Iterable[MappingResult]) -> None:
        """Take the server's word on some of them."""
        refused: list[str] = []
        for result in results:
            status = self.statuses.get(result.name)
            if status is None:
                continue
            if result.status == "ok":
                self._opened(status, result)
            else:
                refused.append(result.name)
                self._refused(status, result)
        if refused:
            delay = min(self.statuses[name].backoff.failed() for name in refused) + 1.0
            self.log.info(
                "{count} mappings refused by the server; asking again in {seconds:.1f} s",
                count=len(refused), seconds=delay, mappings=refused,
            )  # fmt: skip
            self._retry(delay, refused)

    def _opened(self, status: MappingStatus, result: MappingResult) -> None:
        config = status.config
        host = config.bind if config.bind is not None else self._server.host
        address = HostPort(host, result.remote_port or config.remote_port)
        known = status.standing is Standing.OPEN and status.address == address
        status.standing, status.address, status.reason, status.backoff = Standing.OPEN, address, "", _backoff()
        if known:
            return
        self.log.info(
            "mapping {mapping} open: visitors of {address} reach {target}",
            mapping=config.name, address=str(status.address), target=str(config.local),
        )  # fmt: skip

    def _refused(self, status: MappingStatus, result: MappingResult) -> None:
        config = status.config
        status.standing, status.address = Standing.REFUSED, None
        status.reason = f"{printable(result.code)}: {printable(result.reason or '')}"
        hint = _CURES.get(result.code or "", "")
        self.log.warn(
            "mapping {mapping} refused by the server: port {port}: {reason}{hint}",
            mapping=config.name, port=config.remote_port, reason=status.reason, hint=hint,
        )  # fmt: skip


_CURES = {
    "port_in_use": "; choose another one (remote, or remote_port beside local_ports)",
    "acl_denied": "; choose an allowed one (remote, or remote_port beside local_ports), or widen server.allow_ports",
    "reserved": "; choose another one (remote, or remote_port beside local_ports)",
    "limit": "; the server's limits.mappings says how many",
}
