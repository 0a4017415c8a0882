"""Which reactor a program runs on: Twisted's global one, or below asyncio one for the loop that runs, which is made and
ended with that. Nothing of this happens at import."""

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
    """Return the reactor of who calls: where a loop of asyncio runs that of the loop, elsewhere the global one."""
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

            installReactor(reactor)  # for what looks for a global one, and would make one that never runs
        keeper = _keeper(reactor)
        _KEEPERS[loop] = keeper, loop.create_task(keeper.__anext__())
    return _BY_LOOP[loop]


async def here(deferred: Deferred[T]) -> T:
    """Wait for a Deferred where `await` is asyncio's, too."""
    loop = loop_of_caller()
    if loop is None:
        return await deferred
    return await deferred.asFuture(loop)


def new_reactor(loop: asyncio.AbstractEventLoop) -> Any:
    """Return a reactor on a loop that runs, or is about to: it runs as long as that."""
    reactor = _LoopReactor(loop)
    reactor.startRunning(installSignalHandlers=False)
    return reactor


class _LoopReactor(AsyncioSelectorReactor):
    """Twisted's, on a loop that is somebody else's to stop."""

    def crash(self) -> None:
        """Called at the end of a shutdown."""
        PosixReactorBase.crash(self)


async def dispose(reactor: Any) -> None:
    """End such a reactor, while its loop runs: its sessions, its threads, its descriptors."""
    done: Deferred[None] = Deferred()
    reactor.addSystemEventTrigger("after", "shutdown", done.callback, None)
    reactor.fireSystemEvent("shutdown")
    await done.asFuture(asyncio.get_running_loop())
    await asyncio.sleep(0)  # what was closed tells its protocols
    reactor.removeAll()
    for reader in tuple(reactor._internalReaders):
        reactor.removeReader(reader)
        reader.connectionLost(Failure(ConnectionDone()))
    reactor._internalReaders.clear()
    forget(reactor)


async def _keeper(reactor: Any) -> AsyncGenerator[None, None]:
    # `asyncio.run` ends all generators when its main task has ended, and the loop still runs: nothing else is called
    # then, and the reactor's threads would keep the process from ending.
    try:
        yield
    finally:
        await dispose(reactor)
