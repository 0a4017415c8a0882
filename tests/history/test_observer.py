"""The observer `usage`: what it hears is in its file, while visitors are here and when they are gone."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from gotunnel.config.observeroptions import UsageObserverOptions
from gotunnel.config.plugged import ObserverConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.history.observer import CLIENT, UsageObserver
from gotunnel.history.question import Question
from gotunnel.history.recorder import EVERY
from gotunnel.history.steps import HOUR
from gotunnel.interfaces import IStreamObserver
from gotunnel.net.observing import INTERVAL, Observers
from tests.history.test_recorder import FakeReactor


class UsageObserverTests(TestCase):
    """Told as a role tells it, by a clock that stands still; the thread is a real one."""

    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.shutting: list[Any] = []
        self.clock.addSystemEventTrigger = lambda *args: self.shutting.append(args)  # type: ignore[attr-defined]
        self.clock.callFromThread = reactor.callFromThread  # type: ignore[method-assign, attr-defined]
        self.file = Path(self.mktemp()).absolute()

    def observers(self, role: str, carried: Any) -> Observers:
        """Return what tells of visitors, with this observer found by its name."""
        observers = Observers(self.clock, role, carried)
        observers.prepared([ObserverConfig.model_validate({"plugin": "usage", "file": str(self.file)})])()
        return observers

    async def rows(self, observers: Observers) -> list[dict[str, Any]]:
        """Return what is told of the last hour, as it would be to `gotunnel usage`."""
        recorder = observers._all[0].observer._recorder
        now = time.time()
        told: dict[str, Any] = await recorder.ask(Question(since=now - HOUR, until=now + 60))
        rows: list[dict[str, Any]] = told["usage"]
        return rows

    def test_contract(self) -> Deferred[None]:
        """It is an observer, makes no file before there is something to write, and is waited for when the process
        ends."""
        it = UsageObserver(self.clock, UsageObserverOptions(file=self.file), "server")
        verifyObject(IStreamObserver, it)
        it.stop()
        ((*when, ended),) = self.shutting
        self.assertEqual(when, ["during", "shutdown"])
        self.assertFalse(self.file.exists())
        return ended()  # type: ignore[no-any-return]

    async def test_visitors(self) -> None:
        """One who is gone and one who is here are counted with their bytes; what was new at the end is written."""
        carried: list[tuple[str, tuple[int, int]]] = [("two", (5, 6))]
        observers = self.observers("server", lambda: carried)
        observers.opened("one", "ab-1", "edge", "web", "192.0.2.7:4711")
        observers.opened("two", "ab-2", "edge", "web", "192.0.2.7:4712")
        observers.closed("one", Outcome.NO_LEG, StreamEnd(Outcome.NO_LEG, None, 10, 20))
        self.clock.advance(INTERVAL)
        expected = {"client": "edge", "mapping": "web", "up": 15, "down": 26, "streams": 2, "failures": 1, "peak": 2}
        figures: dict[str, Any] = {}
        for _ in range(10):  # a write that had begun before he was looked at may be under way
            (row,) = await self.rows(observers)
            figures = {key: row[key] for key in expected}
            if figures == expected:
                break
        self.assertEqual(figures, expected)
        observers.closed("two", Outcome.COMPLETED, StreamEnd(Outcome.COMPLETED, None, 100, 200))
        observers.stop()
        await self.shutting[0][2]()
        with sqlite3.connect(self.file) as file:
            totals = file.execute("SELECT sum(up), sum(streams) FROM flow GROUP BY level").fetchall()
        self.assertEqual(set(totals), {(110, 2)})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_client(self) -> None:
        """At a client all of it is of one, which has no name here."""
        observers = self.observers("client", list)
        observers.opened("one", "ab-1", "", "web", "192.0.2.7:4711")
        (row,) = await self.rows(observers)
        self.assertEqual((row["client"], row["mapping"]), (CLIENT, "web"))
        self.clock.advance(EVERY)
        observers.stop()
        await self.shutting[0][2]()
