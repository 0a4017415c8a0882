"""The mappings of a client towards one server: what each is, whether it is open there, and when to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from gotunnel.address import HostPort
from gotunnel.config.model import MappingConfig
from gotunnel.core.backoff import Backoff
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Carried
from gotunnel.errors import printable
from gotunnel.logs import Logger
from gotunnel.wire.messages import MappingRequest, MappingResult, MappingState

__all__ = ["MappingStatus", "Published", "Standing"]

MAPPINGS_PER_FRAME = 64
"""A mapping takes at most some 500 bytes of JSON, and a frame 64 KiB."""


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
    reason: str = ""
    down: str | None = None
    carried: Carried = field(default_factory=Carried)

    def request(self) -> MappingRequest:
        """Return what is asked of the server."""
        config = self.config
        clients = config.clients or None
        public = None if config.public else False
        return MappingRequest(config.name, config.remote_port, config.bind, "tcp", config.encrypt, public, clients)


class Published:
    """All mappings of one link. `retry()` is called when some were refused."""

    log = Logger()

    def __init__(
        self, mappings: Iterable[MappingConfig], server: HostPort, retry: Callable[[], None]
    ) -> None:
        self.statuses = {mapping.name: MappingStatus(mapping) for mapping in mappings}
        self._server = server
        self._unfit: set[str] = set()
        self._retry = retry
        self.changed: Callable[[], None] = lambda: None
        """Called when the server has answered, and when a target goes or comes."""
        self._backoff = self._ladder()

    def get(self, name: str) -> MappingConfig | None:
        """Return the mapping of that name, if this client has one."""
        status = self.statuses.get(name)
        return None if status is None else status.config

    def carried(self, name: str, end: StreamEnd) -> None:
        """A visitor of that mapping is over, if this client has one of that name."""
        status = self.statuses.get(name)
        if status is not None:
            status.carried.add(end)

    def begin(self, *, can_forward: bool = True) -> None:
        """A new session: nothing is known of its server but whether clients reach each other through it."""
        self._unfit = set()
        for status in self.statuses.values():
            status.standing = Standing.PENDING
            if not status.config.public and not can_forward:
                self._unfit.add(status.config.name)
                status.standing, status.reason = Standing.REFUSED, "the server knows no forwards"
                self.log.warn(
                    "mapping {mapping} is not registered: it has no public port, and the server is of a version that "
                    "knows no forwards; upgrade it",
                    mapping=status.config.name,
                )  # fmt: skip
        self._backoff = self._ladder()

    def pause(self) -> float:
        """Return in how many seconds to ask again for what was refused: one round for all, and each round later."""
        return 1.0 + self._backoff.failed()

    def batches(self) -> Iterator[tuple[tuple[MappingRequest, ...], bool]]:
        """Yield what to register, in frames of a fit size; the flag says that more follows."""
        requests = [status.request() for name, status in self.statuses.items() if name not in self._unfit]
        for start in range(0, max(1, len(requests)), MAPPINGS_PER_FRAME):
            end = start + MAPPINGS_PER_FRAME
            yield tuple(requests[start:end]), end < len(requests)

    def set_down(self, name: str, reason: str | None) -> None:
        """Remember, across sessions, that a target is down, or with None that it is not."""
        self.statuses[name].down = reason
        self.changed()

    def down(self, requests: Iterable[MappingRequest]) -> Iterator[MappingState]:
        """Yield what to tell the server behind these requests: which of their targets are down."""
        for request in requests:
            reason = self.statuses[request.name].down
            if reason is not None:
                yield MappingState(request.name, "down", reason)

    def answered(self, results: Iterable[MappingResult]) -> None:
        """Take the server's word on some of them."""
        refused = False
        for result in results:
            status = self.statuses.get(result.name)
            if status is None:
                continue
            if result.status == "ok":
                self._opened(status, result)
            else:
                refused = True
                self._refused(status, result)
        if refused:
            self._retry()
        elif all(status.standing is not Standing.REFUSED for status in self.statuses.values()):
            self._backoff = self._ladder()
        self.changed()

    @staticmethod
    def _ladder() -> Backoff:
        return Backoff(first=2.0, cap=60.0)

    def _opened(self, status: MappingStatus, result: MappingResult) -> None:
        config = status.config
        if not config.public:
            self._shared(status)
            return
        host = config.bind if config.bind is not None else self._server.host
        address = HostPort(host, result.remote_port or config.remote_port)
        known = status.standing is Standing.OPEN and status.address == address
        status.standing, status.address, status.reason = Standing.OPEN, address, ""
        if known:
            return
        if status.down is not None:
            self.log.info(
                "mapping {mapping} registered: {address} opens when {target} is up again",
                mapping=config.name, address=str(status.address), target=str(config.local),
            )  # fmt: skip
            return
        self.log.info(
            "mapping {mapping} open: visitors of {address} reach {target}",
            mapping=config.name, address=str(status.address), target=str(config.local),
        )  # fmt: skip

    def _shared(self, status: MappingStatus) -> None:
        known = status.standing is Standing.OPEN
        status.standing, status.reason = Standing.OPEN, ""
        if not known:
            config = status.config
            self.log.info(
                "mapping {mapping} registered: the clients {clients} reach {target} through the server",
                mapping=config.name, clients=", ".join(config.clients), target=str(config.local),
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
    "acl_denied": "; choose an allowed one (remote, or remote_port beside local_ports), or have the server allow it "
    "(allow_ports, allow_bind)",
    "reserved": "; choose another one (remote, or remote_port beside local_ports)",
    "limit": "; the server's limits.mappings says how many",
}
