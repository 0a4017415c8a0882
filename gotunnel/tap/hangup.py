"""SIGHUP: the configuration is read again. How that is done is the role's business; what came of it is in its log."""

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
"""The descriptor by which a process in the foreground hangs on a terminal: that of its input, which is not redirected
where only the log is."""


class Hangup(Wrapper):
    """Wraps the service of a role. `reload()` is called for SIGHUP, one or several; or `stop("SIGHUP")` when the
    process was started from a terminal that is gone now, as such a process would end without us."""

    def __init__(
        self, service: IService, reactor: Any, reload: Callable[[], object], stop: Callable[[str], None]
    ) -> None:
        super().__init__(service)
        self._reactor = reactor
        self._reload = reload
        self._stop = stop
        self._on_terminal = False

    def startService(self) -> None:
        """Start the role. The signal is taken at once, by the process that stays (a daemon has forked by now): what it
        asks for waits until the reactor runs."""
        self._take_signal()
        super().startService()

    def _take_signal(self) -> None:
        self._on_terminal = os.isatty(TERMINAL)
        # Under nohup it is ignored, so that the process outlives its terminal: that it does with this, too. Whoever has
        # put a handler of his own there (a debugger) keeps it.
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
