"""The recorder of one role, with a clock that stands still and a thread that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from gotunnel.config.model import UsageConfig
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.history.question import Question
from gotunnel.history.recorder import EVERY, LAST, STEADY, Recorder
from gotunnel.history.steps import DAY, HOUR
from gotunnel.history.worker import NotKept

START = 20_000.0 * DAY + 10 * HOUR


class FakeReactor(Clock):
    """A clock in whose thread everything happens."""

    def callFromThread(self, act: Callable[..., None], *args: Any) -> None:
        act(*args)


class Role:
    """What is counted."""

    def __init__(self, role: str = "server", name: str = "here") -> None:
        self.role = role
        self.name = name
        self.usage = Usage()
        self.now_running: list[Any] = []

    def running(self) -> list[Any]:
        return self.now_running

    def visit(self, mapping: str = "m", up: int = 1) -> None:
        """Somebody comes and goes."""
        self.usage.ended(self.usage.began("c", mapping), Outcome.COMPLETED, StreamEnd(Outcome.COMPLETED, None, up, 0))


class RecorderTests(TestCase):
    """From start to stop."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()
        self.state.mkdir(parents=True)
        self.clock = FakeReactor()
        self.ahead = START
        self.role = Role()
        self.jobs: list[Callable[[], None]] | None = None
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def thread(self, work: Callable[[], None]) -> None:
        """Do it at once, or later if the disk hangs."""
        if self.jobs is None:
            work()
        else:
            self.jobs.append(work)

    def said(self, level: str) -> list[str]:
        """Return the lines of a level."""
        return [formatEvent(event) for event in self.log if event["log_level"].name == level]

    def recorder(self, **config: Any) -> Recorder:
        """Start one."""
        it = Recorder(
            UsageConfig(**config), self.role, self.clock, self.state, lambda: self.clock.seconds() + self.ahead,
            self.thread,
        )  # fmt: skip
        it.startService()
        self.addCleanup(lambda: it.stopService() if it.running else None)
        return it

    def told(self, it: Recorder, **query: Any) -> list[dict[str, Any]]:
        """Ask."""
        now = self.clock.seconds() + self.ahead
        asked = Question(**{"since": now - HOUR, "until": now + 60, **query})
        found: list[dict[str, Any]] = self.successResultOf(Deferred.fromCoroutine(it.ask(asked)))["usage"]
        return found

    def test_written_every_few_seconds(self) -> None:
        """What happened is in the file by itself soon after, and in the answer to a question at once."""
        it = self.recorder()
        self.role.visit()
        self.assertFalse((self.state / "usage-server.db").exists())
        self.clock.advance(EVERY)
        self.assertTrue((self.state / "usage-server.db").exists())
        self.role.visit()
        self.assertEqual([each["streams"] for each in self.told(it)], [2])

    def test_nothing_to_write(self) -> None:
        """A role that nobody visits makes no file and loads no SQLite."""
        self.recorder()
        self.jobs = []
        self.clock.pump([EVERY] * 20)
        self.assertEqual((self.jobs, list(self.state.iterdir())), ([], []))
        self.jobs = None

    def test_minute(self) -> None:
        """A minute has what happened in it: a look at its end does not put that into the next one."""
        it = self.recorder()
        self.clock.advance(50)
        self.role.visit()
        self.clock.advance(10.5)
        self.role.visit()
        self.clock.advance(EVERY)
        self.assertEqual([each["time"] - START for each in self.told(it, step=60, by="total")], [0, 60])

    def test_stop(self) -> None:
        """The last visitors are written; a file that hangs holds the end up for a moment only."""
        it = self.recorder()
        self.role.visit()
        self.successResultOf(it.stopService())
        self.assertEqual(len(self.told(self.recorder())), 1)
        it = self.recorder()
        self.role.visit()
        self.jobs = []
        stopping = it.stopService()
        self.assertNoResult(stopping)
        self.clock.advance(LAST)
        self.successResultOf(stopping)
        self.jobs, jobs = None, self.jobs
        for job in jobs:
            job()

    def test_stop_while_writing(self) -> None:
        """What has come since the sample that is being written is written as well, before the end."""
        it = self.recorder()
        self.role.visit()
        self.jobs = []
        self.clock.advance(EVERY)
        self.role.visit()
        stopping = it.stopService()
        self.assertNoResult(stopping)
        self.jobs, jobs = None, self.jobs
        jobs[0]()
        self.successResultOf(stopping)
        self.role = Role()  # of another process, which finds in the file what this one has left
        self.assertEqual([each["streams"] for each in self.told(self.recorder())], [2])

    def test_hanging(self) -> None:
        """While the file takes its time nothing piles up, and nothing is lost."""
        it = self.recorder()
        self.jobs = []
        for _ in range(10):
            self.role.visit()
            self.clock.advance(EVERY)
        self.assertEqual(len(self.jobs), 1)
        self.jobs, jobs = None, self.jobs
        jobs[0]()
        self.clock.advance(EVERY)
        self.assertEqual([each["streams"] for each in self.told(it, until=START + HOUR)], [10])

    def test_cannot_be_written(self) -> None:
        """One line with a cure, however often it fails; when it can be written again all of it is there."""
        blocked = self.state / "usage-server.db"
        blocked.mkdir()
        it = self.recorder()
        for _ in range(5):
            self.role.visit()
            self.clock.advance(EVERY)
        (line,) = self.said("warn")
        self.assertIn("cannot be written", line)
        self.assertIn("set usage.file", line)
        self.failureResultOf(Deferred.fromCoroutine(it.ask(Question(START, START + 60))), NotKept)
        blocked.rmdir()
        self.clock.advance(EVERY)
        self.assertIn("is written again", self.said("info")[-1])
        self.assertEqual([each["streams"] for each in self.told(it)], [5])

    def test_damaged(self) -> None:
        """A file that is none any more is put aside with one line, and a new one begins; one that the configuration
        names is not touched."""
        path = self.state / "usage-server.db"
        path.write_bytes(b"garbage" * 1000)
        it = self.recorder()
        self.role.visit()
        self.assertEqual([each["streams"] for each in self.told(it)], [1])
        self.assertEqual((self.state / "usage-server.db.broken").read_bytes(), b"garbage" * 1000)
        self.assertEqual(len(self.said("warn")), 1)
        mine = self.state / "mine.txt"
        mine.write_bytes(b"garbage" * 1000)
        it.use(UsageConfig(file=mine))
        self.role.visit()
        self.clock.advance(EVERY)
        self.assertIn("not a database", self.said("warn")[-1])
        self.assertEqual(mine.read_bytes(), b"garbage" * 1000)

    def test_moved_away(self) -> None:
        """A file that somebody has removed is made anew."""
        it = self.recorder()
        self.role.visit()
        self.clock.advance(EVERY)
        os.unlink(self.state / "usage-server.db")
        self.role.visit()
        self.assertEqual([each["streams"] for each in self.told(it)], [1])
        self.assertEqual(self.said("warn"), [])

    def test_change(self) -> None:
        """Off writes what is left and stops, on begins anew, another file is taken up: all while it runs."""
        it = self.recorder()
        self.role.visit()
        it.use(UsageConfig(enabled=False))
        self.failureResultOf(Deferred.fromCoroutine(it.ask(Question(START, START + 60))), NotKept)
        self.assertFalse(self.role.usage.accounts.kept)
        self.role.visit()  # is not counted: it comes and goes while nobody looks
        it.use(UsageConfig())
        self.assertEqual([each["streams"] for each in self.told(it)], [1])
        it.use(UsageConfig(file=self.state / "other.db"))
        self.role.visit()
        self.assertEqual([each["streams"] for each in self.told(it)], [1])
        self.assertTrue((self.state / "other.db").exists())
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_clock_jumps(self) -> None:
        """A clock that is wrong for a moment costs nothing of the past; what is old goes once it has gone evenly."""
        it = self.recorder(keep="2d")
        self.role.visit("old")
        self.clock.advance(EVERY)
        self.ahead += 3650 * DAY
        for _ in range(3):
            self.role.visit("jumped")
            self.clock.advance(HOUR / 2)
            self.ahead += 3650 * DAY
        self.ahead = START
        self.clock.advance(EVERY)
        self.assertEqual([each["mapping"] for each in self.told(it, since=START - HOUR, until=START + HOUR)], ["old"])
        self.ahead = START + 10 * DAY
        self.clock.advance(EVERY)
        self.role.visit("new")
        self.clock.advance(STEADY + 2 * HOUR)
        self.role.visit("new")
        self.clock.advance(EVERY)
        found = self.told(it, since=START - HOUR, until=START + 20 * DAY)
        self.assertEqual({each["mapping"] for each in found}, {"new"})

    def test_client(self) -> None:
        """A client's file has its name, and what is in it is its own."""
        self.role = Role("client", "worker-1")
        it = self.recorder()
        self.role.visit()
        self.assertEqual([each["client"] for each in self.told(it)], ["worker-1"])
        self.assertTrue((self.state / "usage-client-worker-1.db").exists())
