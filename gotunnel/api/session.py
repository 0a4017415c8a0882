"""One session with a server, shared by everything in this process with the same settings. It lasts while something
holds it; mappings come and go on it, and its state can be observed. Other modules decide what is published and
dialled; `publishing` requests it from the server."""

from __future__ import annotations

import weakref
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, succeed

from gotunnel.address import HostPort
from gotunnel.api.events import Lost, Observers
from gotunnel.api.publishing import Publishing
from gotunnel.api.settings import Settings
from gotunnel.client.memory import VersionMemory
from gotunnel.client.service import ClientService
from gotunnel.logs import Logger

__all__ = ["Session", "forget", "shared"]

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


class Session(Publishing):
    """See the module. A session begins when something is published or dialled, ends when nothing holds it and the last
    visitor has ended, and can begin again."""

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any) -> None:
        super().__init__(reactor)
        self.settings = settings
        self.reactor = reactor
        self.observers = Observers()
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
