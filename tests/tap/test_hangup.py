"""SIGHUP, and whose it is."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.application.service import Service
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.tap.hangup import Hangup


class HangupTests(SynchronousTestCase):
    """Signals that this process sends itself."""

    def setUp(self) -> None:
        """Keep what is asked for."""
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        self.reactor: Any = MemoryReactorClock()
        self.queued: list[Any] = []
        self.reactor.callFromThread = lambda call: self.queued.append(call)
        self.asked: list[str] = []
        self.terminal = False
        self.patch(os, "isatty", lambda fd: self.terminal)

    def start(self, before: Any) -> Hangup:
        """Start a role where this handles the signal before."""
        signal.signal(signal.SIGHUP, before)
        made = Hangup(
            Service(), self.reactor, lambda: self.asked.append("reload"), lambda name: self.asked.append(name)
        )
        made.startService()
        return made

    def hang_up(self) -> list[str]:
        """Send the signal, let the reactor run, and return what is asked for."""
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(self.asked, [], "the handler itself does nothing")
        queued, self.queued = self.queued, []
        for call in queued:
            call()
        asked, self.asked = self.asked, []
        return asked

    def test_taken(self) -> None:
        """From nobody, and from nohup; what it asks for waits for the reactor."""
        for before in (signal.SIG_DFL, signal.SIG_IGN):
            self.start(before)
            self.assertEqual(self.hang_up(), ["reload"])

    def test_somebody_elses(self) -> None:
        """A handler that is there stays."""
        seen: list[int] = []
        self.start(lambda number, frame: seen.append(number))
        self.assertEqual((self.hang_up(), seen), ([], [signal.SIGHUP]))

    def test_terminal(self) -> None:
        """While its terminal is there a role reads its file; when it is gone, it stops."""
        self.terminal = True
        self.start(signal.SIG_DFL)
        self.assertEqual(self.hang_up(), ["reload"])
        self.terminal = False
        self.assertEqual(self.hang_up(), ["SIGHUP"])

    def test_stopped(self) -> None:
        """A role that stops reads nothing more."""
        made = self.start(signal.SIG_DFL)
        self.successResultOf(made.stopService())
        self.assertEqual(self.hang_up(), [])
