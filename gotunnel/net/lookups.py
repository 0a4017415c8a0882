"""Looks up the names that clients say, in threads that nobody else needs. A look-up cannot be ended: one whose DNS
never answers holds its thread for half a minute, whoever has given up waiting. So each client has a few threads at
most, and what else it asks for waits behind that."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, fail

from gotunnel.address import HostPort
from gotunnel.core.turns import Turns
from gotunnel.errors import DialFailed, Sentence

__all__ = ["MOST_WAITING", "SHARE", "SPARE", "THREADS", "Lookups"]

THREADS = 32
"""Look-ups of all clients at a time."""
SHARE = 4
"""Look-ups of one client at a time."""
SPARE = 8
"""Threads of these that are for clients with no look-up under way."""
MOST_WAITING = 256
"""Names of one client that wait to be looked up."""


class _Lookup:
    """One name, and all who wait for it: they are visitors of one client."""

    __slots__ = ("asker", "began", "host", "waiters")

    def __init__(self, asker: str, host: str) -> None:
        self.asker = asker
        self.host = host
        self.began = False
        self.waiters: dict[Deferred[list[str]], None] = {}


class Lookups:
    """All of one server. Threads live for one look-up and keep no process from ending: there is nothing to stop.

    `thread(work)` runs something blocking elsewhere.
    """

    def __init__(self, reactor: Any, thread: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._reactor = reactor
        self._thread = thread or _in_thread
        self._turns: Turns[_Lookup] = Turns(THREADS, SHARE, SPARE, MOST_WAITING)
        self._lookups: dict[tuple[str, str], _Lookup] = {}

    def resolve(self, asker: str, target: HostPort, timeout: float) -> Deferred[list[str]]:
        """Return the IP addresses of a name, at least one, for the client `asker`. Fails with DialFailed: unknown_host,
        limit where its turn does not come, failed without a thread; after `timeout` seconds at the latest. Cancelling
        gives up."""
        lookup = self._lookups.get((asker, target.host))
        if lookup is None:
            lookup = _Lookup(asker, target.host)
            if not self._turns.wait(asker, lookup):
                what = Sentence(
                    "{target} is not looked up: {most_waiting} other names of this client wait for that",
                    target=target, most_waiting=MOST_WAITING,
                )
                return fail(DialFailed("limit", what))
            self._lookups[asker, target.host] = lookup
        waiting: Deferred[list[str]] = Deferred(partial(self._gave_up, lookup))
        lookup.waiters[waiting] = None
        found = waiting.addCallback(_at_least_one, target)
        found.addTimeout(timeout, self._reactor, lambda value, seconds: _too_late(lookup, target))
        self._begin()
        return found

    def _begin(self) -> None:
        while (lookup := self._turns.take()) is not None:
            lookup.began = True
            try:
                self._thread(partial(self._look, lookup))
            except RuntimeError as failed:  # TasksMax of a unit, or ulimit -u
                self._answer(lookup, DialFailed("failed", Sentence(
                    "{host} is not looked up: {failed}", host=lookup.host, failed=failed
                )))

    def _look(self, lookup: _Lookup) -> None:
        """In the thread."""
        found: list[str] = []
        try:
            found = _addresses(lookup.host)
        finally:
            self._reactor.callFromThread(self._ended, lookup, found)

    def _ended(self, lookup: _Lookup, found: list[str]) -> None:
        self._answer(lookup, found)
        self._begin()

    def _answer(self, lookup: _Lookup, answer: list[str] | DialFailed) -> None:
        self._turns.leave(lookup.asker)
        del self._lookups[lookup.asker, lookup.host]
        for waiting in tuple(lookup.waiters):
            if waiting.called:
                continue  # given up by what another one's answer led to
            if isinstance(answer, DialFailed):
                waiting.errback(answer)
            else:
                waiting.callback(answer)

    def _gave_up(self, lookup: _Lookup, waiting: Deferred[list[str]]) -> None:
        lookup.waiters.pop(waiting, None)
        if not lookup.waiters and not lookup.began:
            del self._lookups[lookup.asker, lookup.host]
            self._turns.give_up(lookup.asker, lookup)


def _in_thread(work: Callable[[], None]) -> None:
    Thread(target=work, name="look-up", daemon=True).start()


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # ValueError: it cannot be a name
        return []
    return [str(address[0]) for family, _, _, _, address in found if family in (socket.AF_INET, socket.AF_INET6)]


def _at_least_one(found: list[str], target: HostPort) -> list[str]:
    if not found:
        raise DialFailed("unknown_host", Sentence("{target}: the name does not resolve", target=target))
    return found


def _too_late(lookup: _Lookup, target: HostPort) -> Any:
    if lookup.began:
        raise DialFailed("unknown_host", Sentence(
            "{target}: the name does not resolve in time", target=target
        ))
    raise DialFailed("limit", Sentence(
        "{target}: its name could not be looked up in time, behind others that are slow", target=target
    ))
