"""A reactor whose waiting is done by the fast relay's own loop: Twisted's epoll set is one descriptor of ours. For
everything else it is Twisted's epoll reactor. The two roles install it where it can be had."""

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
    """A pump, compiled or not, as `fast.reactor` runs it."""

    must_return: bool

    def serve(self, timeout: float, foreign: int) -> bool: ...
    def add_foreign(self, fd: int) -> None: ...
    def close(self) -> None: ...


def make_pump() -> OwnPoller:
    """Return the compiled pump where it can be had, else the one in Python."""
    if lacking() is not None:
        return Pump()
    from gotunnel.net.fast.nativeleg import NativePump

    return NativePump()


class PumpReactor(epollreactor.EPollReactor):
    """An event of the fast relay costs one dictionary look-up here, instead of a turn of the reactor."""

    def __init__(self) -> None:
        self.pump = make_pump()  # ahead of what may schedule something
        super().__init__()
        # What is private of Twisted here, this and `_moveCallLaterSooner`, is watched over by tests.
        self._theirs = self._poller.fileno()
        self.pump.add_foreign(self._theirs)

    def stop(self) -> None:
        """Stop, also when a handler of the pump says so."""
        super().stop()
        self.pump.must_return = True

    def crash(self) -> None:
        """See IReactorCore; it is also the end of each shutdown, which a handler of the pump may have held up."""
        super().crash()
        self.pump.must_return = True

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:
        """See IReactorTime; also how long to wait is another."""
        self.pump.must_return = True
        return super().callLater(delay, callable, *args, **kw)

    def _moveCallLaterSooner(self, delayed: DelayedCall) -> None:
        self.pump.must_return = True
        super()._moveCallLaterSooner(delayed)

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events and pass them on; return when Twisted has something to do itself. Its timers are looked after
        by it alone: it sweeps out those that were cancelled, too."""
        pump = self.pump
        pump.must_return = False
        theirs_are_ready = pump.serve(-1 if timeout is None else max(0.0, timeout), self._theirs)
        pump.must_return = True  # where a handler has called `iterate`, what it scheduled before that still counts
        if theirs_are_ready:
            super().doPoll(0)

    doIteration = doPoll


def install() -> None:
    """Make a PumpReactor the reactor of this process. Raises ReactorAlreadyInstalledError."""
    reactor: Any = PumpReactor()
    installReactor(reactor)


def install_if_free() -> None:
    """The same, unless there is a reactor already or it cannot be had here (it needs epoll)."""
    if "twisted.internet.reactor" not in sys.modules:
        install()
