"""How a link follows changes of the configuration: mappings, nodes and forwards change while its session and streams
stay; if the client's name changes, it reconnects. `servers` decides which links there are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.client.leaving import IN_FLIGHT, Leaving
from gotunnel.client.pace import Pace
from gotunnel.client.published import Published
from gotunnel.client.session import ClientSession
from gotunnel.config.model import ClientConfig
from gotunnel.logs import Logger
from gotunnel.net.patience import Patience
from gotunnel.wire.messages import MappingRequest

if TYPE_CHECKING:
    from gotunnel.config.difference import Difference

__all__ = ["ChangingLink"]


class ChangingLink:
    """A base of Link, which sets all of the attributes below."""

    log = Logger()
    published: Published
    reserve: str
    session: ClientSession | None
    wanted: bool
    _clock: Any
    _config: ClientConfig
    _leaving: Leaving
    _pace: Pace
    _running: Deferred[None] | None
    _sessions: set[ClientSession]
    _moves = 0
    """How often the link was told to reconnect under another name."""
    _woken: Deferred[None] | None = None
    """Fires to end the wait for the next attempt."""
    _again = False
    """Whether the settings have changed during the attempt in progress."""

    def start(self) -> None:
        """Start to connect."""
        raise NotImplementedError

    @property
    def streams_by_mapping(self) -> Counter[str]:
        """How many visitors each mapping has."""
        return sum((session.streams_by_mapping for session in self._sessions), Counter())

    @property
    def streams_by_forward(self) -> Counter[str]:
        """How many visitors each forward has."""
        return sum((session.streams_by_forward for session in self._sessions), Counter())

    def apply(self, difference: Difference[ClientConfig]) -> None:
        """Apply the changes of a new configuration, except to mappings."""
        config = self._config = difference.config
        if difference.touches("client.nodes") and self.session is not None:
            self.session.announce()
        for session in self._sessions:
            session.legs.dial_within(config.dial_timeout)
            session.keep_ready(config.idle_legs)
        if difference.touches("client.profile"):
            self._pace.use(config.profile)
            if self.session is not None:
                self._pace.connected(self._clock.seconds())
        if difference.touches("client.name"):
            self._move()
        elif difference.touches("client.token", "client.tls"):
            self._wake()

    def leave(self) -> None:
        """Give up all ports and disconnect: the server was removed from the configuration. Streams go on."""
        self.wanted = False
        if self.session is not None:
            self._give_up(self.session)
        elif self._running is not None:
            self._running.cancel()

    def recall(self) -> None:
        """Keep or resume the link: its server is configured."""
        if not self.wanted:
            self.wanted = True
            if self._running is not None and self._running.called:
                self.start()

    def wake(self) -> None:
        """If the link is in reserve, try to connect now."""
        if self.reserve:
            self._wake()

    def publish(
        self, closed: tuple[str, ...], wanted: tuple[MappingRequest, ...], removed: tuple[str, ...]
    ) -> None:
        """Tell the server the result of `published.change`. Visitors of removed mappings may finish."""
        if self.session is not None and not self.session.draining:
            self.published.closing.update(removed)
            self.session.change(closed, wanted)
        self._leaving.leave(removed, self._config.drain_timeout)

    def cut_nobody(self) -> None:
        """Let visitors of removed mappings stay until somebody calls `cut`."""
        self._leaving.cuts = False

    def cut(self, mapping: str) -> int:
        """Reset the visitors of a mapping. Returns how many there were."""
        return sum(session.legs.reset_streams(mapping) for session in self._sessions)

    def _move(self) -> None:
        """Reconnect under another name, after giving up all ports. Streams go on."""
        self._moves += 1
        if self.session is None:
            self._wake()
        else:
            self._give_up(self.session)

    def _give_up(self, session: ClientSession) -> None:
        """Give up all ports, and then the session. Streams go on."""
        session.change(self.published.give_up(), ())
        session.drain(self._config.drain_timeout)
        leaving = Deferred.fromCoroutine(self._leave(session))
        leaving.addErrback(lambda failure: self.log.failure("leaving the server failed", failure))

    async def _leave(self, session: ClientSession) -> None:
        await Patience(self._clock).until(lambda: session.drained, IN_FLIGHT)
        if session.connected:
            session.close("the configuration names another server, or another name for this client")

    def _wake(self) -> None:
        """Make the next attempt now: its settings have changed, and the cause of a failure may be fixed. If an attempt
        is in progress, another one follows at once should it fail."""
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.callback(None)
        elif self.session is None:
            self._again = True
