"""Chooses the reactor that a program runs on: Twisted's global one, or on asyncio one for the running loop, created on
demand and ended with the loop. Importing this module does none of that."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure

from gotunnel.api.answers import loop_of_caller
from gotunnel.api.session import forget

__all__ = ["dispose", "here", "new_reactor", "reactor_here"]

T = TypeVar("T")

_BY_LOOP: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
_KEEPERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()


def reactor_here() -> Any:
    """Return the caller's reactor: that of the running asyncio loop, or the global one if no loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        from twisted.internet import reactor

        return reactor
    installed = sys.modules.get("twisted.internet.reactor")
    if getattr(installed, "_asyncioEventloop", None) is loop:
        return installed
    if loop not in _BY_LOOP:
        reactor = _BY_LOOP[loop] = new_reactor(loop)
        if installed is None:
            from twisted.internet.main import installReactor

            installReactor(reactor)  # for code that looks for a global reactor, and would create one that never runs
        keeper = _keeper(reactor)
        _KEEPERS[loop] = keeper, loop.create_task(keeper.__anext__())
    return _BY_LOOP[loop]


async def here(deferred: Deferred[T]) -> T:
    """Wait for a Deferred, in an asyncio task too."""
    loop = loop_of_caller()
    if loop is None:
        return await deferred
    return await deferred.asFuture(loop)


def new_reactor(loop: asyncio.AbstractEventLoop) -> Any:
    """Return a reactor on a loop that runs or is about to run. It runs as long as the loop."""
    reactor = _LoopReactor(loop)
    reactor.startRunning(installSignalHandlers=False)
    return reactor


class _LoopReactor(AsyncioSelectorReactor):
    """Twisted's reactor, on a loop that others stop."""

    def crash(self) -> None:
        """Called at the end of a shutdown. Does not stop the loop."""
        PosixReactorBase.crash(self)


async def dispose(reactor: Any) -> None:
    """End a reactor made by `new_reactor` while its loop runs: its sessions, threads and descriptors."""
    done: Deferred[None] = Deferred()
    reactor.addSystemEventTrigger("after", "shutdown", done.callback, None)
    reactor.fireSystemEvent("shutdown")
    await done.asFuture(asyncio.get_running_loop())
    await asyncio.sleep(0)  # closed connections notify their protocols
    reactor.removeAll()
    for reader in tuple(reactor._internalReaders):
        reactor.removeReader(reader)
        reader.connectionLost(Failure(ConnectionDone()))
    reactor._internalReaders.clear()
    forget(reactor)


async def _keeper(reactor: Any) -> AsyncGenerator[None, None]:
    # When its main task has ended and the loop still runs, `asyncio.run` ends all asynchronous generators. Nothing
    # else is called then, and the reactor's threads would keep the process from ending.
    try:
        yield
    finally:
        await dispose(reactor)
