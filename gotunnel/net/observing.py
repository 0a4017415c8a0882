"""Tells observers of the visitors of one role. One that fails is named once, and costs no visitor anything."""

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
"""Seconds between two looks at the bytes of those who are here."""

@dataclass(slots=True, eq=False)
class _One:
    config: ObserverConfig
    observer: Any
    failed: bool = False


@dataclass(slots=True, eq=False)
class _Here:
    stream: Stream
    told: tuple[_One, ...]
    """Who has heard of him; nobody hears of an end without a beginning."""
    carried: tuple[int, int] = (0, 0)


class Observers:
    """All of one role. `carried` returns what those who are served have carried so far, by whatever they were called by
    in `opened`."""

    log = Logger()

    def __init__(self, reactor: Any, role: str, carried: Callable[[], Carried]) -> None:
        self._reactor = reactor
        self._role = role
        self._carried = carried
        self._all: tuple[_One, ...] = ()
        self._here: dict[Hashable, _Here] = {}
        self._timer: IDelayedCall | None = None

    def prepared(self, configs: Iterable[ObserverConfig]) -> Callable[[], None]:
        """Make those that are new, and return what lets them take the place of those that are there. Raises
        GotunnelError, and then nothing has changed."""
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
        """Observers that tell Prometheus something: those with a method `collect`."""
        return [Telling(self, one) for one in self._all if callable(getattr(one.observer, "collect", None))]

    def opened(self, key: Hashable, conn: str, client: str, mapping: str, visitor: str) -> None:
        """A visitor is here; `key` is he himself, for whom `closed` follows."""
        if not self._all:
            return
        stream = Stream(conn, client, mapping, visitor, self._reactor.seconds())
        self._here[key] = _Here(stream, self._all)
        for one in self._all:
            self._tell(one, "opened", stream)
        if self._timer is None:
            self._timer = self._reactor.callLater(INTERVAL, self._look)

    def closed(self, key: Hashable, outcome: Outcome, end: StreamEnd | None) -> None:
        """His time is over; without `end` he never had a leg."""
        here = self._here.pop(key, None)
        if here is None:
            return  # he came ahead of the first observer
        up, down = (end.up, end.down) if end is not None else (0, 0)
        code = printable(end.code) if end is not None and end.code else ""
        ended = Ended(WORDS[outcome], code, up, down, self._reactor.seconds() - here.stream.began)
        for one in here.told:
            if (up, down) != here.carried:
                self._tell(one, "bytes", here.stream, up, down)
            self._tell(one, "closed", here.stream, ended)

    def stop(self) -> None:
        """The role is over."""
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
        except (Exception, SystemExit):  # noqa: BLE001 - whatever an observer raises, it costs no visitor anything
            self.failed(one, what, Failure())
            return
        if isinstance(answer, Deferred):
            answer.addErrback(lambda failure: self.failed(one, what, failure))

    def failed(self, one: _One, what: str, failure: Failure) -> None:
        """Name one that has failed, once."""
        if one.failed:
            return
        one.failed = True
        self.log.failure(
            "the observer {observer} failed in {method}: {reason}; further failures of this kind are not logged",
            failure, observer=one.config.plugin, method=what, reason=printable(failure.getErrorMessage(), 200),
        )  # fmt: skip


class Telling:
    """An observer that has metrics to tell. What it tells may be of no use: who reads it says so."""

    def __init__(self, observers: Observers, one: _One) -> None:
        self._observers, self._one = observers, one

    def collect(self) -> list[Any]:
        """Return what it tells: nothing, if it fails."""
        try:
            return list(self._one.observer.collect())
        except (Exception, SystemExit):  # noqa: BLE001 - whatever an observer raises, the others are told
            self.failed()
            return []

    def failed(self) -> None:
        """It has failed, by what is being handled now."""
        self._observers.failed(self._one, "collect", Failure())
