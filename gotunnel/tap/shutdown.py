"""Ends a role in two steps: the first signal lets it finish its work, a second one ends it at once. Knows nothing of
that work."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel.errors import GotunnelError
from gotunnel.i18n.errors import error_text
from gotunnel.i18n.events import log_language
from gotunnel.logs import Logger
from gotunnel.tap.exits import FAILED
from gotunnel.tap.wrapper import Wrapper

__all__ = ["SAME_SIGNAL", "TwoStepStop"]

SAME_SIGNAL = 0.1
"""Seconds within which signals count as one: `timeout` and some init programs signal the process and its group."""


class TwoStepStop(Wrapper):
    """Wraps the service of a role; lives as long as the process.

    With Twisted's own signal handlers, `twistd` and `twist` kill themselves with the signal once the service has
    stopped, so that an orderly end looks like a failure; and they ignore a second signal. These handlers end with exit
    code 0 both times. The rest of the shutdown is Twisted's: `twistd` still removes its pid file.
    """

    log = Logger()

    def __init__(self, service: IService, reactor: Any, program: str) -> None:
        super().__init__(service)
        self._reactor = reactor
        self._program = program
        self._made_by = os.getpid()
        self._asked: float | None = None
        self._at_once = False
        self._stopping: Deferred[None] | None = None
        self._over: float | None = None

    def startService(self) -> None:
        """Called by the runner before the reactor runs. The signal handlers are installed after Twisted has installed
        its own."""
        try:
            super().startService()
        except (GotunnelError, OSError) as error:
            if os.getpid() != self._made_by:
                # A daemon: its parent `twistd` waits for an exception to report, and would wait for ever on an exit.
                self.log.error("cannot start: {problem}", problem=str(error))
                raise
            print(f"{self._program}: {error_text(error, log_language())}", file=sys.stderr)
            raise SystemExit(FAILED) from None
        self._reactor.callWhenRunning(self._take_signals)

    def stopService(self) -> Deferred[None]:
        """Called by the reactor's shutdown, which waits for the returned Deferred."""
        stopping: Deferred[None] = Deferred()
        self._stopping = stopping
        super().stopService().addErrback(self._log_failure).addBoth(self._stopped)
        if self._at_once:
            self._stopped(None)
        return stopping

    def stop_requested(self, name: str) -> None:
        """Stop in order, or, if a stop was requested before, at once. `name` is the signal's name, for the log."""
        now = self._reactor.seconds()
        if self._asked is None and self._stopping is None:
            self._asked = now
            self.log.info("{signal}: stopping; a second signal ends at once", signal=name)
            self._reactor.stop()
        elif not self._at_once and (self._asked is None or now - self._asked >= SAME_SIGNAL):
            self._at_once = True
            self.log.info("{signal} again: ending at once", signal=name)
            self._stopped(None)

    def _take_signals(self) -> None:
        # Another handler (of a debugger, of nohup, or of a reactor told to leave signals alone) stays.
        for number, twisted_handler in (
            (signal.SIGINT, self._reactor.sigInt),
            (signal.SIGTERM, self._reactor.sigTerm),
        ):
            if signal.getsignal(number) == twisted_handler:
                signal.signal(number, self._received)
                # The interpreter restores the default at its end, and a late signal would then turn exit code 0 into
                # a death by signal.
                atexit.register(signal.signal, number, signal.SIG_IGN)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._over is not None:
            # The reactor no longer listens. It waits for its threads, and resolving a name may take half a minute.
            if time.monotonic() - self._over >= SAME_SIGNAL:
                os._exit(0)
        else:
            self._reactor.callFromThread(self.stop_requested, signal.Signals(number).name)

    def _log_failure(self, failure: Failure) -> None:
        self.log.failure("the service did not stop in order", failure)

    def _stopped(self, result: object) -> None:
        if self._stopping is not None and self._over is None:
            self._over = time.monotonic()
            self._stopping.callback(None)
