"""Keeps the history of one role: takes what the role has newly counted every few seconds, and writes it outside the
reactor. A file that cannot be written costs a line in the log, and no visitor anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.config.usage import UsageConfig
from gotunnel.core.accounts import Running
from gotunnel.core.usage import Usage
from gotunnel.errors import Sentence
from gotunnel.history.sample import Sample
from gotunnel.history.steps import MINUTE
from gotunnel.history.worker import Beside, NotKept, Worker
from gotunnel.logs import Logger

if TYPE_CHECKING:
    from gotunnel.history.question import Question
    from gotunnel.history.store import Store

__all__ = ["EVERY", "Recorder"]

EVERY = 15.0
"""Seconds between two samples: what a kill can lose."""
PRUNE = 3600.0
"""Seconds between two removals of old rows."""
STEADY = 600.0
"""Seconds for which the clock must have run evenly before rows are dropped for their age: a clock that is wrong at the
start, or for a moment, must not cost the history."""
JUMP = 60.0
"""Seconds of deviation that count as a jump."""
LAST = 5.0
"""Seconds that the last write may take when the process ends."""


class Counted(Protocol):
    """What a recorder needs of a role."""

    role: str

    @property
    def name(self) -> str: ...
    @property
    def usage(self) -> Usage: ...
    def running(self) -> Iterable[Running]: ...


class Recorder(Service):
    """Runs from `startService` to `stopService`, which is to be called when the last visitor has ended. `wall` is the
    wall clock; `thread(work)` runs blocking work outside the reactor."""

    log = Logger()

    def __init__(
        self, config: UsageConfig, role: Counted, reactor: Any, state: Path, wall: Callable[[], float] = time.time,
        thread: Beside | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._role = role
        self._reactor = reactor
        self._state = state
        self._wall = wall
        self._thread = thread
        self._worker: Worker | None = None
        self._timer: IDelayedCall | None = None
        self._trouble = ""
        self._writing = False
        self._waiting: list[Deferred[None]] = []  # for the end of the write that is under way
        self._looked = (0.0, 0.0)  # the time of the last sample, on either clock
        self._steady = self._pruned = 0.0

    @property
    def own(self) -> str | None:
        """The client that the whole file is about; None at a server."""
        return self._role.name if self._role.role == "client" else None

    @property
    def path(self) -> str:
        """The history file."""
        return str(self._config.path(self._state, self._role.role, self.own))

    def startService(self) -> None:
        """Start sampling."""
        super().startService()
        if self._config.enabled:
            self._begin()

    def stopService(self) -> Deferred[None]:
        """Write what is left, and stop sampling."""
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    def use(self, config: UsageConfig) -> None:
        """Apply a new configuration, or the client's new name, which changes the file."""
        self._config = config
        if self.running and (not config.enabled or self._worker is None or self._worker.path != self.path):
            self._background(self._end())
            if config.enabled:
                self._begin()

    async def ask(self, asked: Question) -> dict[str, Any]:
        """Answer, including everything up to now. Raises NotKept."""
        from gotunnel.history.question import answer

        if self._worker is None:
            raise NotKept("no history of traffic is kept here: usage is off in the configuration")
        worker, role = self._worker, self._role
        await self._write(worker)
        try:
            told = await worker.do(lambda store: answer(store.connection, asked, self._wall()))
        except NotKept as failed:
            raise NotKept(Sentence("{path}: {failed}", path=worker.path, failed=failed)) from None
        return {"role": role.role, "name": role.name, "file": worker.path, **told}

    # Sampling:

    def _begin(self) -> None:
        self._role.usage.accounts.kept = True
        self._worker = Worker(self.path, self._reactor, ours=self._config.file is None, thread=self._thread)
        self._trouble = ""
        now = self._reactor.seconds()
        self._looked, self._steady, self._pruned = (now, self._wall()), now, now - PRUNE
        self._plan()

    def _plan(self) -> None:
        # At full quarters of a minute, so that each minute contains exactly what happened in it.
        self._timer = self._reactor.callLater(EVERY - self._wall() % EVERY, self._look)

    def _look(self) -> None:
        self._plan()
        if self._worker is not None:
            self._background(self._write(self._worker))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(lambda failure: self.log.failure("keeping the history failed", failure))

    async def _end(self) -> None:
        """Takes a few seconds at most, because the process wants to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        worker, self._worker = self._worker, None
        if worker is None:
            return
        self._role.usage.accounts.kept = False
        last = Deferred.fromCoroutine(self._finish(worker))
        last.addTimeout(LAST, self._reactor, lambda value, seconds: None)
        await last

    async def _finish(self, worker: Worker) -> None:
        while self._writing:  # its sample lacks what has come since, and no other one follows
            written: Deferred[None] = Deferred()
            self._waiting.append(written)
            await written
        await self._write(worker)
        await worker.close()

    # Writing:

    async def _write(self, worker: Worker) -> None:
        """Write what is new. While a write is under way this does nothing: the next sample contains the rest."""
        if self._writing:
            return
        begun = self._since()
        sample = Sample(self._role.usage.accounts, self._role.running(), begun - begun % MINUTE, self.own)
        if not sample.rows:
            sample.written()
            return
        now, wall, keep = self._reactor.seconds(), self._wall(), self._config.keep
        prune, steady = now - self._pruned >= PRUNE, now - self._steady >= STEADY

        def add(store: Store) -> None:
            store.add(sample.time, sample.rows)
            if prune:
                store.prune(wall, keep, by_age=steady)

        self._writing = True
        try:
            await worker.do(add)
        except NotKept as failed:
            sample.lost()
            self._complain(worker, str(failed))
        except BaseException:
            sample.lost()
            raise
        else:
            sample.written()
            if prune:
                self._pruned = now if steady else now - PRUNE + STEADY
            if self._trouble:
                self._trouble = ""
                self.log.info("the history of traffic is written again: {path}", path=worker.path)
        finally:
            self._writing = False
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    def _since(self) -> int:
        """Return the beginning of the time since the last sample, by the current clock, which may have jumped
        meanwhile."""
        now, wall = self._reactor.seconds(), self._wall()
        passed = now - self._looked[0]
        if abs(wall - self._looked[1] - passed) > JUMP:
            self._steady = now
        self._looked = now, wall
        return int(wall - passed)

    def _complain(self, worker: Worker, reason: str) -> None:
        if self._trouble != reason:
            self._trouble = reason
            self.log.warn(
                "the history of traffic cannot be written: {path}: {reason}; make the file and its folder writable, "
                "with room on the disk, or set usage.file to another one: it is tried again every few seconds",
                path=worker.path, reason=reason,
            )  # fmt: skip
