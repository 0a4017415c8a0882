"""Resolves names for clients, in threads of its own. A lookup cannot be cancelled: if its DNS server never answers, it
holds its thread for half a minute, even if nobody waits for it. So each client gets a few threads at most, and its
further lookups wait for these."""

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
"""Lookups of all clients at a time."""
SHARE = 4
"""Lookups of one client at a time."""
SPARE = 8
"""How many of the threads are reserved for clients without a lookup in progress."""
MOST_WAITING = 256
"""Names of one client that may wait to be looked up."""


class _Lookup:
    """One name, and everything that waits for it: visitors of one client."""

    __slots__ = ("asker", "began", "host", "waiters")

    def __init__(self, asker: str, host: str) -> None:
        self.asker = asker
        self.host = host
        self.began = False
        self.waiters: dict[Deferred[list[str]], None] = {}


class Lookups:
    """All lookups of one server. A thread lives for one lookup and does not keep the process from ending, so there is
    nothing to stop.

    `thread(work)` runs a blocking function elsewhere.
    """

    def __init__(self, reactor: Any, thread: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._reactor = reactor
        self._thread = thread or _in_thread
        self._turns: Turns[_Lookup] = Turns(THREADS, SHARE, SPARE, MOST_WAITING)
        self._lookups: dict[tuple[str, str], _Lookup] = {}

    def resolve(self, asker: str, target: HostPort, timeout: float) -> Deferred[list[str]]:
        """Return the IP addresses of a name, at least one, for the client `asker`. Fails with DialFailed after
        `timeout` seconds at the latest: unknown_host; limit, if its turn does not come; failed, if no thread can be
        started. Cancelling gives up."""
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
            except RuntimeError as failed:  # the limit of threads: TasksMax of a unit, or ulimit -u
                self._answer(lookup, DialFailed("failed", Sentence(
                    "{host} is not looked up: {failed}", host=lookup.host, failed=failed
                )))

    def _look(self, lookup: _Lookup) -> None:
        """Do the lookup; runs in the thread."""
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
                continue  # it gave up because of another one's answer
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
    except (OSError, ValueError):  # ValueError: not a valid name
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
