"""Keeps the history of one role: looks at what it has counted every few seconds, and has it written beside the reactor.
A file that cannot be written costs a line in the log, and no visitor anything."""

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
"""Seconds between two looks: what a kill can cost."""
PRUNE = 3600.0
"""Seconds between two times that old rows are dropped."""
STEADY = 600.0
"""Seconds for which the clock must have gone evenly before anything is dropped for its age: one that is wrong at the
start, or for a moment, is not to cost the history."""
JUMP = 60.0
"""Seconds by which it must be off to have jumped."""
LAST = 5.0
"""Seconds that the last write may take when the process ends."""


class Counted(Protocol):
    """What is asked of a role."""

    role: str

    @property
    def name(self) -> str: ...
    @property
    def usage(self) -> Usage: ...
    def running(self) -> Iterable[Running]: ...


class Recorder(Service):
    """Runs from `startService` to `stopService`, which is to be called when the last visitor is gone. `wall` is the
    clock that people read, `thread(work)` runs something blocking elsewhere."""

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
        self._looked = (0.0, 0.0)  # the last time, on either clock
        self._steady = self._pruned = 0.0

    @property
    def own(self) -> str | None:
        """The client that all of it is about, None at a server."""
        return self._role.name if self._role.role == "client" else None

    @property
    def path(self) -> str:
        """The file."""
        return str(self._config.path(self._state, self._role.role, self.own))

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        if self._config.enabled:
            self._begin()

    def stopService(self) -> Deferred[None]:
        """Write what is left, and look no more."""
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    def use(self, config: UsageConfig) -> None:
        """The configuration says this now; or the client has another name, and with it another file."""
        self._config = config
        if self.running and (not config.enabled or self._worker is None or self._worker.path != self.path):
            self._background(self._end())
            if config.enabled:
                self._begin()

    async def ask(self, asked: Question) -> dict[str, Any]:
        """Answer, with what has happened until now. Raises NotKept."""
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

    # Looking.

    def _begin(self) -> None:
        self._role.usage.accounts.kept = True
        self._worker = Worker(self.path, self._reactor, ours=self._config.file is None, thread=self._thread)
        self._trouble = ""
        now = self._reactor.seconds()
        self._looked, self._steady, self._pruned = (now, self._wall()), now, now - PRUNE
        self._plan()

    def _plan(self) -> None:
        # At full quarters of a minute, so that a minute has what happened in it.
        self._timer = self._reactor.callLater(EVERY - self._wall() % EVERY, self._look)

    def _look(self) -> None:
        self._plan()
        if self._worker is not None:
            self._background(self._write(self._worker))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(lambda failure: self.log.failure("keeping the history", failure))

    async def _end(self) -> None:
        """Never longer than a moment: the process wants to end."""
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
        await self._write(worker)
        await worker.close()

    # Writing.

    async def _write(self, worker: Worker) -> None:
        """Have written what is new. While the file takes its time nothing is taken: it is in the next sample."""
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

    def _since(self) -> int:
        """When what has happened since the last look began, as the clock has it now: it may have jumped meanwhile."""
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
