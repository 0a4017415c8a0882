"""What a link makes of a changed file: mappings, nodes and forwards come and go while its session and its streams stay,
and where the server or the client's own name is another one, it connects anew."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.client.forwards import Forwards
from gotunnel.client.health import Monitor
from gotunnel.client.leaving import IN_FLIGHT, Leaving
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.plain import PlainWatch
from gotunnel.client.published import Published
from gotunnel.client.session import ClientSession
from gotunnel.config.difference import Difference
from gotunnel.config.model import ClientConfig
from gotunnel.core.backoff import Backoff
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath
from gotunnel.net.patience import Patience

__all__ = ["ChangingLink"]


class ChangingLink:
    """One half of a link, which makes all of these."""

    log = Logger()
    forwards: Forwards
    published: Published
    session: ClientSession | None
    _backoff: Backoff
    _clock: Any
    _config: ClientConfig
    _health: Monitor
    _leaving: Leaving
    _nodes: OwnNodes
    _path: ServerPath
    _plain: PlainWatch
    _sessions: set[ClientSession]
    _moves = 0
    """How often it was told to connect elsewhere, or as somebody else."""
    _woken: Deferred[None] | None = None
    """Sleeps until the next attempt."""

    @property
    def draining(self) -> bool:
        """Whether it is to connect no more."""
        raise NotImplementedError

    def _ladder(self) -> Backoff:
        """Return how long to wait between attempts to connect."""
        raise NotImplementedError

    @property
    def streams_by_mapping(self) -> Counter[str]:
        """How many visitors each mapping has."""
        return sum((session.streams_by_mapping for session in self._sessions), Counter())

    @property
    def streams_by_forward(self) -> Counter[str]:
        """How many visitors each forward has."""
        return sum((session.streams_by_forward for session in self._sessions), Counter())

    async def apply(self, difference: Difference[ClientConfig], path: ServerPath | None = None) -> None:
        """Go on with what the file says now; all but the ports of forwards has changed when this returns for the first
        time. `path` leads to the server when that is another one."""
        config = self._config = difference.config
        self._change_mappings(difference)
        if difference.touches("client.nodes"):
            self._nodes.use(config.nodes)
            if self.session is not None:
                self.session.announce()
        for session in self._sessions:
            session.legs.dial_timeout = config.dial_timeout
        if difference.touches("client.profile"):
            self._backoff = self._ladder()
            if self.session is not None:
                self._backoff.connected(self._clock.seconds())
        if difference.touches("client.name", "client.server_addr"):
            self._move(path)
        elif difference.touches("client.token", "client.tls"):
            self._wake()
        if difference.touches("client.forwards", "client.egress"):
            await self.forwards.change(config.forwards, config.egress)
            if self.session is not None and not self.draining:
                self.session.forwards_changed()

    def _change_mappings(self, difference: Difference[ClientConfig]) -> None:
        change = difference.lists.get("client.mappings")
        if change is None:
            return
        config = self._config
        closed, wanted = self.published.change(config.mappings, change)
        self._plain.change()
        self._health.change(config.mappings)
        if self.session is not None:
            self.session.change(closed, wanted)
        self._leaving.leave(change.removed, config.drain_timeout)

    def _cut(self, mapping: str) -> int:
        return sum(session.legs.reset_streams(mapping) for session in self._sessions)

    def _move(self, path: ServerPath | None) -> None:
        """Give all ports up, and connect elsewhere, or as somebody else. What streams goes on."""
        self._moves += 1
        if path is not None:
            self._path = path
            self.published.server = path.address
        session = self.session
        if session is None:
            self._wake()
            return
        session.change(self.published.give_up(), ())
        session.drain(self._config.drain_timeout)
        leaving = Deferred.fromCoroutine(self._leave(session))
        leaving.addErrback(lambda failure: self.log.failure("leaving the server", failure))

    async def _leave(self, session: ClientSession) -> None:
        await Patience(self._clock).until(lambda: session.drained, IN_FLIGHT)
        if session.connected:
            session.close("the configuration names another server, or this client otherwise")

    def _wake(self) -> None:
        """What the next attempt goes by has changed: somebody may have mended what was wrong."""
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.callback(None)
