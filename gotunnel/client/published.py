"""The mappings of a client at one server, and what to request of it. `answers` handles what the server says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from gotunnel.address import HostPort
from gotunnel.client.answers import Answers
from gotunnel.client.standing import MappingStatus, Standing
from gotunnel.config.model import MappingConfig
from gotunnel.core.stream import StreamEnd
from gotunnel.logs import Logger
from gotunnel.wire.messages import MappingRequest, MappingState

if TYPE_CHECKING:
    from gotunnel.config.difference import ListChange

__all__ = ["NAMES_PER_FRAME", "Published"]

MAPPINGS_PER_FRAME = 64
"""A mapping takes at most some 500 bytes of JSON, and a frame 64 KiB."""
NAMES_PER_FRAME = 256
"""A name takes at most 256 bytes of JSON."""


class Published(Answers):
    """All mappings of one link. `retry()` is called when some were refused."""

    log = Logger()

    def __init__(
        self, mappings: Iterable[MappingConfig], server: HostPort, retry: Callable[[], None]
    ) -> None:
        super().__init__(mappings, server, retry)
        self._can_forward = self._can_udp = True
        self._leaving: dict[str, MappingConfig] = {}  # removed, but an OPEN may still be in flight
        self.closing: set[str] = set()
        """Mappings removed during this session whose ports the server has not confirmed as closed."""

    def get(self, name: str) -> MappingConfig | None:
        """Return the mapping of that name, if this client has it or had it a moment ago."""
        status = self.statuses.get(name)
        return self._leaving.get(name) if status is None else status.config

    def carried(self, name: str, end: StreamEnd | None) -> None:
        """Count a finished visitor of that mapping, if it exists. `end` is None for one that was not served."""
        status = self.statuses.get(name)
        if status is not None:
            status.carried.add(end)

    def begin(self, *, can_forward: bool = True, can_group: bool = True, can_udp: bool = True) -> None:
        """Start over with a new session. The flags say whether the server supports forwards, groups and datagrams."""
        self._unfit, self._can_forward, self._can_group, self._can_udp = set(), can_forward, can_group, can_udp
        self.closing.clear()
        for status in self.statuses.values():
            self._begin(status)
        self._backoff = self._ladder()

    def change(
        self, mappings: Iterable[MappingConfig], change: ListChange
    ) -> tuple[tuple[str, ...], tuple[MappingRequest, ...]]:
        """Apply a new configuration. Returns the names to give up at the server, and the requests to send after that.
        Mappings that keep their port are only requested again if the server has to learn something new.

        Removed mappings are still known until `forget`.
        """
        before, self.statuses = self.statuses, {}
        for mapping in mappings:
            old = before.get(mapping.name)
            status = self.statuses[mapping.name] = MappingStatus(mapping)
            if old is None or mapping.name in change.anew:
                self._leaving.pop(mapping.name, None)
                status.down = None if old is None else old.down
                self._begin(status)
            else:
                status.standing, status.address, status.down = old.standing, old.address, old.down
                status.code, status.reason, status.since, status.shut = old.code, old.reason, old.since, old.shut
                status.lines = old.lines
            if old is not None:
                status.carried, status.dropped = old.carried, old.dropped
        self._leaving.update({name: before[name].config for name in change.removed})
        self._unfit &= self.statuses.keys()
        asked = [
            status.request()
            for name, status in self.statuses.items()
            if name not in self._unfit
            and (name not in before or name in change.anew or status.request() != before[name].request())
        ]
        return (*change.removed, *change.anew), tuple(asked)

    def closed(self, names: Iterable[str]) -> None:
        """Note that the server has closed the ports of these mappings."""
        self.closing.difference_update(names)
        self.changed()

    def give_up(self) -> tuple[str, ...]:
        """Leave the server: mark all mappings as not open there, and return their names."""
        for status in self.statuses.values():
            status.standing, status.address = Standing.PENDING, None
        return tuple(self.statuses)

    def forget(self, names: Iterable[str]) -> None:
        """Stop serving visitors of these removed mappings, unless they were added back."""
        for name in names:
            self._leaving.pop(name, None)

    def _begin(self, status: MappingStatus) -> None:
        status.standing, status.code, status.reason, status.shut = Standing.PENDING, "", "", None
        status.lines = None
        self._unfit.discard(status.config.name)
        if status.config.group is not None and not self._can_group:
            self.log.warn(
                "mapping {mapping} requests its port for itself alone: the server's version does not support "
                "groups, and refuses the port to the other members of {group}; upgrade it",
                mapping=status.config.name, group=status.config.group,
            )  # fmt: skip
        if status.config.protocol == "udp" and not self._can_udp:
            self._unfit.add(status.config.name)
            status.standing, status.reason = Standing.REFUSED, "the server carries no datagrams (protocol udp)"
            self.log.warn(
                "mapping {mapping} is not registered: the server {server} carries no datagrams (protocol udp): its "
                "version is older, or its relay cannot; upgrade it",
                mapping=status.config.name, server=str(self.server),
            )  # fmt: skip
        if not status.config.public and not self._can_forward:
            self._unfit.add(status.config.name)
            status.standing, status.reason = Standing.REFUSED, "the server does not support forwards"
            self.log.warn(
                "mapping {mapping} is not registered: it has no public port, and the server's version does not "
                "support forwards; upgrade it",
                mapping=status.config.name,
            )  # fmt: skip

    def batches(
        self, wanted: Iterable[MappingRequest] | None = None
    ) -> Iterator[tuple[tuple[MappingRequest, ...], bool]]:
        """Yield the given requests, or all, in batches that fit a frame; the flag says that more follow."""
        requests = self._all() if wanted is None else tuple(wanted)
        for start in range(0, max(1, len(requests)), MAPPINGS_PER_FRAME):
            end = start + MAPPINGS_PER_FRAME
            yield requests[start:end], end < len(requests)

    def _all(self) -> tuple[MappingRequest, ...]:
        return tuple(status.request() for name, status in self.statuses.items() if name not in self._unfit)

    def set_down(self, name: str, reason: str | None) -> None:
        """Remember, across sessions, why a target is down; None if it is up."""
        self.statuses[name].down = reason
        self.changed()

    def down(self, requests: Iterable[MappingRequest]) -> Iterator[MappingState]:
        """Yield the messages to send behind these requests: for those of their targets that are down by then."""
        for request in requests:
            status = self.statuses.get(request.name)
            if status is not None and status.down is not None:
                yield MappingState(request.name, "down", status.down)
