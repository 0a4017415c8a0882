"""The thread that uses a history's file, one piece of work at a time, and what is done about a file that is gone,
damaged or unusable. Knows nothing of its content."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure

from gotunnel.errors import GotunnelError, Sentence
from gotunnel.logs import Logger

if TYPE_CHECKING:
    from gotunnel.history.store import Store

__all__ = ["Beside", "NotKept", "Worker"]

_T = TypeVar("_T")
Beside = Callable[[Callable[[], None]], None]
"""Runs blocking work outside the reactor."""


class NotKept(GotunnelError):
    """There is no history, or it cannot be used now; the text says why."""


def _in_thread(work: Callable[[], None]) -> None:
    # One thread for each piece of work: nothing has to be stopped, and a hanging thread does not keep a process from
    # ending.
    Thread(target=work, name="history", daemon=True).start()


class Worker:
    """One per file. With `ours`, nobody else uses the file's name, and a damaged file is moved away."""

    log = Logger()

    def __init__(self, path: str, reactor: Any, *, ours: bool, thread: Beside | None = None) -> None:
        self.path = path
        self._reactor = reactor
        self._ours = ours
        self._thread = thread or _in_thread
        self._turn = DeferredLock()
        self._store: Store | None = None

    def do(self, work: Callable[[Store], _T]) -> Deferred[_T]:
        """Run `work` with the open file. Fires with its result, or fails with NotKept."""
        return self._turn.run(self._elsewhere, lambda: self._with_store(work))

    def close(self) -> Deferred[None]:
        """Close the file after the work that is under way."""
        return self._turn.run(self._elsewhere, self._close)

    def _elsewhere(self, work: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()

        def working() -> None:
            found: Any
            act: Callable[[Any], None] = done.callback
            try:
                found = work()
            except BaseException:  # noqa: BLE001 - it is raised where it is awaited
                found, act = Failure(), done.errback
            self._reactor.callFromThread(act, found)

        try:
            self._thread(working)
        except RuntimeError as failed:  # TasksMax of a unit, or ulimit -u
            raise NotKept(Sentence("no thread can be had: {failed}", failed=failed)) from None
        return done

    # In the thread:

    def _with_store(self, work: Callable[[Store], _T]) -> _T:
        try:
            # Imported on demand: a process that writes no history saves the memory.
            from gotunnel.history.store import Damaged, Unusable, told
        except ImportError as failed:
            raise NotKept(Sentence("this Python has no SQLite: {failed}", failed=failed)) from None
        except OSError as failed:  # the module itself cannot be read: out of descriptors
            raise NotKept(f"{failed.strerror}") from None
        try:
            try:
                with told():
                    return work(self._open())
            except Damaged:
                self._close()  # it is examined again
                with told():
                    return work(self._open())
        except Unusable as failed:
            self._close()
            raise NotKept(str(failed)) from None

    def _open(self) -> Store:
        from gotunnel.history.store import Damaged, Store

        if self._store is not None and not self._store.in_place:
            self._close()
        if self._store is None:
            try:
                self._store = Store(self.path)
            except Damaged:
                if not self._ours:
                    raise  # a user who has named this file may have meant a different one
                self._put_aside()
                self._store = Store(self.path)
        return self._store

    def _put_aside(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(self.path + ending, f"{self.path}.broken{ending}")
        self._reactor.callFromThread(self._damaged)

    def _damaged(self) -> None:
        self.log.warn(
            "the history of traffic in {path} is damaged: it was kept as {path}.broken, and a new one begins; "
            "check the disk if that happens again",
            path=self.path,
        )

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
