"""What the calls of the library return: Deferreds that asyncio can await, too."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

__all__ = ["Answer", "loop_of_caller"]

T = TypeVar("T")


class Answer(Deferred[T]):
    """A Deferred like any other on Twisted. An asyncio task can await it as well; cancelling the task cancels it."""

    undo: Callable[[T], object] | None = None

    @classmethod
    def of(cls, coroutine: Coroutine[Any, Any, T], undo: Callable[[T], object] | None = None) -> Answer[T]:
        """Start a Twisted coroutine now, and return its future result. `undo` is called with a result that an asyncio
        task has missed because the task was cancelled after the result arrived and before it ran again."""
        running = Deferred.fromCoroutine(coroutine)
        answer: Answer[T] = cls(lambda _: running.cancel())
        answer.undo = undo

        def over(result: Any) -> Any:
            if not answer.called:
                answer.callback(result)
            elif isinstance(result, Failure) and not result.check(CancelledError):
                return result  # nothing waits for it any more, but the failure must not be lost
            return None

        running.addBoth(over)
        return answer

    def asFuture(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        """Like that of any Deferred; cancelling the future cancels this Deferred. A result that is already there, or
        that arrives at that very moment, is passed to `undo`, because nobody will receive it."""
        future = _Future(self.undo, loop)

        def come(result: T) -> None:
            if not future.cancelled():
                future.set_result(result)
            elif self.undo is not None:
                self.undo(result)

        def failed(failure: Failure) -> None:
            if not future.cancelled() and failure.value is not None:
                future.set_exception(failure.value)

        self.addCallbacks(come, failed)
        future.add_done_callback(lambda done: self.cancel() if done.cancelled() else None)
        return future

    def __await__(self) -> Generator[Any, None, T]:
        """Called by `await`, in a Twisted coroutine or an asyncio task."""
        loop = loop_of_caller()
        if loop is None:
            return (yield from super().__await__())
        return (yield from self.asFuture(loop).__await__())


class _Future(asyncio.Future[T]):
    """A future whose waiting task may be cancelled when the result is already there: then no task receives it."""

    def __init__(self, undo: Callable[[T], object] | None, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._undo = undo

    def __await__(self) -> Generator[Any, None, T]:
        """Called by `await`."""
        try:
            return (yield from super().__await__())
        except asyncio.CancelledError:
            undo, self._undo = self._undo, None
            if undo is not None and self.done() and not self.cancelled() and self.exception() is None:
                undo(self.result())
            raise


def loop_of_caller() -> asyncio.AbstractEventLoop | None:
    """Return the asyncio loop whose task is awaiting something now. Return None if a Twisted coroutine is awaiting,
    even one that an asyncio task has started."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    if task is None:
        return None
    own = getattr(task.get_coro(), "cr_frame", None)
    frame = sys._getframe(1)
    while frame is not None and frame is not own:
        if frame.f_code.co_name == "_inlineCallbacks" and frame.f_globals.get("__name__") == "twisted.internet.defer":
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return task.get_loop()
