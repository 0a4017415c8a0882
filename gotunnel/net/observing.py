"""Calls the observers with the visitors of one role. A failing observer is logged once and affects no visitor."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gotunnel.config.plugged import ObserverConfig
from gotunnel.core.observed import Ended, Stream
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import printable
from gotunnel.logs import Logger
from gotunnel.net.plugged import Carried, made

__all__ = ["INTERVAL", "Observers"]

INTERVAL = 5.0
"""Seconds between two reports of the bytes of current visitors."""

@dataclass(slots=True, eq=False)
class _One:
    """An observer, its configuration, and whether a failure was logged."""

    config: ObserverConfig
    observer: Any
    failed: bool = False


@dataclass(slots=True, eq=False)
class _Here:
    """A current visitor."""

    stream: Stream
    told: tuple[_One, ...]
    """The observers that were notified of its beginning: only these are notified of its end."""
    carried: tuple[int, int] = (0, 0)


class Observers:
    """All observers of one role. `carried` returns the bytes that current streams have carried so far, by the keys
    given to `opened`."""

    log = Logger()

    def __init__(self, reactor: Any, role: str, carried: Callable[[], Carried]) -> None:
        self._reactor = reactor
        self._role = role
        self._carried = carried
        self._all: tuple[_One, ...] = ()
        self._here: dict[Hashable, _Here] = {}
        self._timer: IDelayedCall | None = None

    def prepared(self, configs: Iterable[ObserverConfig]) -> Callable[[], None]:
        """Create the new observers; return a function that replaces the current ones with them. Raises GotunnelError,
        and then nothing has changed."""
        left = list(self._all)
        new: list[_One] = []
        fresh: list[_One] = []
        try:
            for config in configs:
                one = next((old for old in left if old.config == config), None)
                if one is None:
                    one = _One(config, made("observer", config, self._reactor, self._role))
                    fresh.append(one)
                else:
                    left.remove(one)
                new.append(one)
        except Exception:
            self._stop(fresh)
            raise

        def use() -> None:
            self._all = tuple(new)
            for here in self._here.values():
                here.told = tuple(one for one in here.told if one not in left)
            self._stop(left)

        return use

    @property
    def collectors(self) -> list[Telling]:
        """The observers with a method `collect`, which have metrics for Prometheus."""
        return [Telling(self, one) for one in self._all if callable(getattr(one.observer, "collect", None))]

    def opened(self, key: Hashable, conn: str, client: str, mapping: str, visitor: str) -> None:
        """Report a new visitor. `closed` must follow with the same key."""
        if not self._all:
            return
        stream = Stream(conn, client, mapping, visitor, self._reactor.seconds())
        self._here[key] = _Here(stream, self._all)
        for one in self._all:
            self._tell(one, "opened", stream)
        if self._timer is None:
            self._timer = self._reactor.callLater(INTERVAL, self._look)

    def closed(self, key: Hashable, outcome: Outcome, end: StreamEnd | None) -> None:
        """Report the end of a visitor; `end` is None if it never had a leg."""
        here = self._here.pop(key, None)
        if here is None:
            return  # it arrived before the first observer
        up, down = (end.up, end.down) if end is not None else (0, 0)
        code = printable(end.code) if end is not None and end.code else ""
        ended = Ended(WORDS[outcome], code, up, down, self._reactor.seconds() - here.stream.began)
        for one in here.told:
            if (up, down) != here.carried:
                self._tell(one, "bytes", here.stream, up, down)
            self._tell(one, "closed", here.stream, ended)

    def stop(self) -> None:
        """Stop all observers: the role is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._here.clear()
        gone, self._all = self._all, ()
        self._stop(gone)

    def _look(self) -> None:
        self._timer = None
        if not self._here:
            return
        for key, carried in tuple(self._carried()):
            here = self._here.get(key)
            if here is not None and carried != here.carried:
                here.carried = carried
                for one in here.told:
                    self._tell(one, "bytes", here.stream, *carried)
        self._timer = self._reactor.callLater(INTERVAL, self._look)

    def _stop(self, observers: Iterable[_One]) -> None:
        for one in observers:
            self._tell(one, "stop")

    def _tell(self, one: _One, what: str, *values: Any) -> None:
        try:
            answer = getattr(one.observer, what)(*values)
        except (Exception, SystemExit):  # noqa: BLE001 - whatever an observer raises must not affect a visitor
            self.failed(one, what, Failure())
            return
        if isinstance(answer, Deferred):
            answer.addErrback(lambda failure: self.failed(one, what, failure))

    def failed(self, one: _One, what: str, failure: Failure) -> None:
        """Log the first failure of an observer."""
        if one.failed:
            return
        one.failed = True
        self.log.failure(
            "the observer {observer} failed in {method}: {reason}; further failures of this kind are not logged",
            failure, observer=one.config.plugin, method=what, reason=printable(failure.getErrorMessage(), 200),
        )  # fmt: skip


class Telling:
    """The metrics of one observer. They may be invalid: whoever reads them calls `failed` then."""

    def __init__(self, observers: Observers, one: _One) -> None:
        self._observers, self._one = observers, one

    def collect(self) -> list[Any]:
        """Return its metrics; an empty list if it fails."""
        try:
            return list(self._one.observer.collect())
        except (Exception, SystemExit):  # noqa: BLE001 - whatever an observer raises must not affect the others
            self.failed()
            return []

    def failed(self) -> None:
        """Log the exception being handled as its failure."""
        self._observers.failed(self._one, "collect", Failure())
