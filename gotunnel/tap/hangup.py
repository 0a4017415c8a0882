"""SIGHUP: reads the configuration again. The role does the work, and logs the result."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import IService

from gotunnel.tap.wrapper import Wrapper

__all__ = ["Hangup"]

TERMINAL = 0
"""The descriptor that ties a process in the foreground to its terminal: standard input, which is not redirected when
only the log is."""


class Hangup(Wrapper):
    """Wraps the service of a role. SIGHUP, received once or several times, calls `reload()`. If the process was started
    from a terminal that is gone now, it calls `stop("SIGHUP")` instead, because such a process would end without this
    class."""

    def __init__(
        self, service: IService, reactor: Any, reload: Callable[[], object], stop: Callable[[str], None]
    ) -> None:
        super().__init__(service)
        self._reactor = reactor
        self._reload = reload
        self._stop = stop
        self._on_terminal = False

    def startService(self) -> None:
        """Start the role. The signal handler is installed at once, by the process that stays (a daemon has forked by
        now); its action waits until the reactor runs."""
        self._take_signal()
        super().startService()

    def _take_signal(self) -> None:
        self._on_terminal = os.isatty(TERMINAL)
        # Under nohup SIGHUP is ignored so that the process outlives its terminal; with this handler it does so as
        # well. A handler that somebody else has installed (a debugger) stays.
        if signal.getsignal(signal.SIGHUP) in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(signal.SIGHUP, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._hung_up)

    def _hung_up(self) -> None:
        if not self.running:
            return
        if self._on_terminal and not os.isatty(TERMINAL):
            self._stop("SIGHUP")
        else:
            self._reload()
