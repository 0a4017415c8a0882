"""A reactor that waits in the fast relay's own loop: Twisted's epoll set is one descriptor in ours. Otherwise it is
Twisted's epoll reactor. Both roles install it where it is available."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import epollreactor
from twisted.internet.base import DelayedCall
from twisted.internet.main import installReactor

from gotunnel.net.fast.compiled import lacking
from gotunnel.net.fast.poller import Poller, Pump

__all__ = ["PumpReactor", "install", "install_if_free", "make_pump"]


class OwnPoller(Poller, Protocol):
    """A pump, compiled or not, as the reactor uses it."""

    must_return: bool

    def serve(self, timeout: float, foreign: int) -> bool: ...
    def add_foreign(self, fd: int) -> None: ...
    def close(self) -> None: ...


def make_pump() -> OwnPoller:
    """Return the compiled pump where it is available, else the one in Python."""
    if lacking() is not None:
        return Pump()
    from gotunnel.net.fast.nativeleg import NativePump

    return NativePump()


class PumpReactor(epollreactor.EPollReactor):
    """Here an event of the fast relay costs one dictionary lookup instead of a turn of the reactor."""

    def __init__(self) -> None:
        self.pump = make_pump()  # before super().__init__, which may schedule calls
        super().__init__()
        # Private parts of Twisted: tests watch over `_poller` and `_moveCallLaterSooner`.
        self._theirs = self._poller.fileno()
        self.pump.add_foreign(self._theirs)

    def stop(self) -> None:
        """Stop, also when called by a handler of the pump."""
        super().stop()
        self.pump.must_return = True

    def crash(self) -> None:
        """See IReactorCore. Each shutdown ends with this call, possibly from a handler of the pump."""
        super().crash()
        self.pump.must_return = True

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:
        """See IReactorTime. The pump must return, since its time to wait has changed."""
        self.pump.must_return = True
        return super().callLater(delay, callable, *args, **kw)

    def _moveCallLaterSooner(self, delayed: DelayedCall) -> None:
        self.pump.must_return = True
        super()._moveCallLaterSooner(delayed)

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events and deliver them; return when Twisted has something to do. Twisted alone handles its timers,
        and also removes cancelled ones."""
        pump = self.pump
        pump.must_return = False
        theirs_are_ready = pump.serve(-1 if timeout is None else max(0.0, timeout), self._theirs)
        pump.must_return = True  # if a handler has called `iterate`: what it scheduled before must still count
        if theirs_are_ready:
            super().doPoll(0)

    doIteration = doPoll


def install() -> None:
    """Install a PumpReactor as the reactor of this process. Raises ReactorAlreadyInstalledError."""
    reactor: Any = PumpReactor()
    installReactor(reactor)


def install_if_free() -> None:
    """Install a PumpReactor, unless a reactor is installed already. Needs epoll."""
    if "twisted.internet.reactor" not in sys.modules:
        install()
