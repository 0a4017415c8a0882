"""The mappings of one session: claimed, requested from the server, and withdrawn. `session` says how long it lasts."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.api.settings import refused_option
from gotunnel.api.state import SessionState
from gotunnel.api.waiting import Waits
from gotunnel.client.link import Link
from gotunnel.client.standing import MappingStatus
from gotunnel.config.model import MappingConfig
from gotunnel.errors import NotConnected, Sentence

__all__ = ["Publishing"]

ANSWER = 10.0
"""Seconds to wait for the server to report a port as closed. After that it counts as closed: the server has other
problems."""


class Publishing(SessionState):
    """The base of a session that publishes mappings."""

    def __init__(self, reactor: Any) -> None:
        self._waits = Waits(reactor)
        self._mappings: dict[str, MappingConfig] = {}
        self._drains: dict[str, float] = {}
        self._last: dict[str, MappingConfig] = {}  # of each name, the mapping that was claimed last
        self._withdrawn = set()

    async def run(self, port: int = 0) -> None:
        """Begin, unless it has begun. Raises GotunnelError for settings that cannot be used."""
        raise NotImplementedError

    def _ended(self) -> Deferred[None]:
        """Fires when the session has ended, or at once if it does not end."""
        raise NotImplementedError

    @property
    def mappings(self) -> Container[str]:
        """The names of the mappings that are published, or about to be."""
        return self._mappings.keys()

    def claim(self, mapping: MappingConfig, drain: float) -> None:
        """Register a mapping that will be published. When the process stops, its visitors have `drain` seconds. Raises
        ConfigError."""
        if mapping.name in self._mappings:
            what = Sentence("this process publishes {mapping!r} on that server already", mapping=mapping.name)
            raise refused_option("mapping", what, "give it a name of its own")
        self._mappings[mapping.name] = self._last[mapping.name] = mapping
        self._drains[mapping.name] = drain

    async def publish(self, name: str) -> None:
        """Request a claimed mapping from the server."""
        await self.run(self._mappings[name].remote_port)
        await self._apply()

    def opened(self, name: str, seconds: float | None) -> Deferred[MappingStatus]:
        """Fires when the mapping is open. Fails with PortUnavailable, AuthRejected or NotConnected. If `seconds` is
        None, it waits as long as a client with a file would, also while the server does not let it in."""
        return self._waits.until(partial(self._is_open, name, seconds is None), seconds, self._too_late)

    def connection(self, seconds: float | None) -> Deferred[Link]:
        """Fires when there is a session. Fails with AuthRejected or NotConnected; see `opened`."""
        return self._waits.until(partial(self._is_connected, seconds is None), seconds, self._too_late)

    async def withdraw(self, name: str, drain: float) -> None:
        """Stop publishing a mapping, and return when the server has closed its port. With `drain`, wait up to that many
        seconds for its visitors to finish, then reset the rest. Without it, they may stay; so may those whose mapping
        was published again meanwhile."""
        del self._drains[name]
        mapping = self._mappings.pop(name)
        if self._service is None or self._ending is not None:
            await self._ended()
        else:
            await self._close(name)
            late = drain > 0 and not await self._until(lambda: not self.streams(name), drain)
            if late and self._last.get(name) is mapping:
                self.link.cut(name)
        if self._last.get(name) is mapping:
            del self._last[name]

    async def _close(self, name: str) -> None:
        await self._apply()
        self._withdrawn.add(name)
        await self._until(lambda: self._is_closed(name), ANSWER)
        self._tell_withdrawn(name)

    async def _until(self, seen: Callable[[], bool], seconds: float) -> bool:
        try:
            return await self._waits.until(lambda: self._service is None or seen() or None, seconds)
        except TimeoutError:
            return False

    async def _apply(self) -> None:
        service = self._service
        if service is None or service.draining:
            raise NotConnected("the tunnel is closed")
        await service.reload(service.config.model_copy(update={"mappings": tuple(self._mappings.values())}))
