"""One session with a server, shared by everything in this process with the same settings. It lasts while something
holds it; mappings come and go on it, and its state can be observed. Other modules decide what is published and
dialled."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, succeed

from gotunnel.address import HostPort
from gotunnel.api.events import Lost, Observers
from gotunnel.api.settings import Settings, refused_option
from gotunnel.api.state import SessionState
from gotunnel.api.waiting import Waits
from gotunnel.client.link import Link
from gotunnel.client.memory import VersionMemory
from gotunnel.client.service import ClientService
from gotunnel.client.standing import MappingStatus
from gotunnel.config.model import MappingConfig
from gotunnel.errors import NotConnected, Sentence
from gotunnel.logs import Logger

__all__ = ["Session", "forget", "shared"]

ANSWER = 10.0
"""Seconds to wait for the server to report a port as closed. After that it counts as closed: the server has other
problems."""

_SHARED: weakref.WeakKeyDictionary[Any, dict[Settings, Session]] = weakref.WeakKeyDictionary()


def shared(settings: Settings, reactor: Any) -> Session:
    """Return the session of this reactor with these settings. It may not have begun yet."""
    sessions = _SHARED.setdefault(reactor, {})
    if settings not in sessions:
        sessions[settings] = Session(settings, reactor)
    return sessions[settings]


def forget(reactor: Any) -> None:
    """Drop the sessions of a reactor that has ended."""
    _SHARED.pop(reactor, None)


def _names_in_use() -> set[str]:
    """Return the names of this process's clients. They belong to sessions with other settings."""
    sessions = [session for each in tuple(_SHARED.values()) for session in tuple(each.values())]  # of other threads too
    return {session._service.config.name for session in sessions if session._service is not None}


class Session(SessionState):
    """See the module. A session begins when something is published or dialled, ends when nothing holds it and the last
    visitor has ended, and can begin again."""

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.settings = settings
        self.reactor = reactor
        self.observers = Observers()
        self._waits = Waits(reactor)
        self._mappings: dict[str, MappingConfig] = {}
        self._drains: dict[str, float] = {}
        self._last: dict[str, MappingConfig] = {}  # of each name, the mapping that was claimed last
        self._withdrawn: set[str] = set()  # the mappings that the server has been asked to close
        self._service: ClientService | None = None
        self._trigger: Any = None
        self._holds = 0
        self._kept: Any = None  # a timer: the session is held a little longer, for the next use
        self._ending: list[Deferred[None]] | None = None  # the calls that wait for its end
        self._looking: Any = None
        self._up: bool | None = None  # the state that observers were told
        self._told: dict[str, HostPort | None] = {}

    # Holding it:

    def hold(self) -> None:
        """Hold the session."""
        self._holds += 1
        if self._kept is not None:
            self._kept.cancel()
            self._kept = None

    def release(self, keep: float = 0.0) -> Deferred[None]:
        """Release one hold. If that was the last one and no visitor is left, the session ends: at once, or `keep`
        seconds later. Fires when the session has ended, or at once if it does not end yet."""
        self._holds -= 1
        if self._holds or self._service is None:
            self._forget()
            return self._ended()
        if keep and self._ending is None:
            self._kept = self.reactor.callLater(keep, self._not_kept)
            return succeed(None)
        return succeed(None) if self.streams() else self.end()

    def _not_kept(self) -> None:
        self._kept = None
        self._noticed()

    def end(self, drain: float = 0.0) -> Deferred[None]:
        """End it, whatever holds it. Its ports close at once, because the server's time of grace is for clients that
        are lost. Visitors have `drain` seconds to finish. Fires when everything has ended."""
        if self._kept is not None:
            self._kept.cancel()
            self._kept = None
        service = self._service
        if service is None or self._ending is not None:
            if service is not None:
                service.drain(drain)
            return self._ended()
        self._ending = []
        ended = self._ended()
        if self._trigger is not None:
            self.reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        over: Deferred[Any] = Deferred.fromCoroutine(self._leave(service, drain))
        over.addErrback(lambda failure: self.log.failure("the end of a tunnel", failure))
        over.addCallback(self._over)
        return ended

    @staticmethod
    async def _leave(service: ClientService, drain: float) -> None:
        try:
            if service.config.mappings:
                # Before the drain, on the same connection: the ports are closed by the time the server agrees to the
                # drain.
                await service.reload(service.config.model_copy(update={"mappings": ()}))
        finally:
            both: list[Deferred[Any]] = [service.drain(drain), service.stopService()]
            await gatherResults(both)

    def _ended(self) -> Deferred[None]:
        if self._ending is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred(lambda _: None)
        self._ending.append(waiting)
        return waiting

    def _over(self, _: object) -> None:
        waiting, self._ending, self._service = self._ending or [], None, None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._up:
            self.observers.tell(Lost(self.settings.server, "closed by this program"))
        self._up = None
        self._told.clear()
        self._withdrawn.clear()
        self._forget()
        self._waits.look()
        for each in waiting:
            if not each.called:
                each.callback(None)

    def _forget(self) -> None:
        known = _SHARED.get(self.reactor, {})
        if not self._holds and not self.observers and known.get(self.settings) is self:
            del known[self.settings]

    def _shutdown(self) -> Deferred[None]:
        self._trigger = None
        return self.end(max(self._drains.values(), default=0.0))

    # Mappings and connections:

    async def run(self, port: int = 0) -> None:
        """Begin, unless it has begun. Raises GotunnelError for settings that cannot be used."""
        while self._ending is not None:
            await self._ended()
        if self._service is not None:
            return
        mappings = tuple(self._mappings.values())
        config = self.settings.config(port, _names_in_use()).model_copy(update={"mappings": mappings})
        self._service = service = ClientService(config, self.reactor, _NoMemory())
        self.links.tell(self._noticed)
        self.links.forwards.inside = True
        self.link.cut_nobody()
        service.startService()
        self._trigger = self.reactor.addSystemEventTrigger("before", "shutdown", self._shutdown)

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
        self._drains.pop(name, None)
        mapping = self._mappings.pop(name, None)
        if mapping is None or self._service is None or self._ending is not None:
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

    # Changes of state:

    def _noticed(self) -> None:
        """Look in the next turn of the reactor, because the caller is still at work."""
        if self._looking is None and self._service is not None:
            self._looking = self.reactor.callLater(0, self._look)

    def _look(self) -> None:
        self._looking = None
        if self._service is None:
            return
        if self._ending is None:
            self._tell()
        self._waits.look()
        if not self._holds and self._kept is None and self._service is not None and not self.streams():
            self.end()


class _NoMemory(VersionMemory):
    """Remembers nothing: programs use version 2 only."""

    def __init__(self) -> None:
        """There is no folder."""

    def note(self, server: HostPort) -> None:
        """See VersionMemory."""
