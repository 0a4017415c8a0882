"""Listening that goes on trying, and the words for a system that does not let us."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import PortUnavailable
from gotunnel.net.listening import cure_of, listen_failure
from gotunnel.net.persistent import LISTEN_AGAIN, Persistent


class Listening:
    """What listens."""

    stopped = False

    def stopListening(self) -> None:
        self.stopped = True


class PersistentTests(SynchronousTestCase):
    """One place, with a clock that stands still."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.outcomes: list[Any] = []
        self.said: list[str] = []
        self.it = Persistent(self.clock, self.listen, self.said.append)

    def listen(self) -> Any:
        """Do what was planned."""
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def test_until_it_can(self) -> None:
        """It tries again until it listens; each reason is told once, in the words of this machine."""
        taken = listen_failure("127.0.0.1", 80, OSError(errno.EADDRINUSE, "x"))
        listening = Listening()
        self.outcomes = [taken, taken, PortUnavailable("acl_denied", "not here"), taken, listening]
        self.it.start()
        for _ in range(4):
            self.assertIsNone(self.it.listening)
            self.clock.advance(LISTEN_AGAIN)
        here = "127.0.0.1:80: another program listens there"
        self.assertEqual(self.said, [here, "not here", here])
        self.assertIs(self.it.listening, listening)
        self.assertEqual((self.it.failure, self.clock.getDelayedCalls()), ("", []))
        self.it.start()  # listens already
        self.successResultOf(Deferred.fromCoroutine(self.it.stop()))
        self.assertTrue(listening.stopped)

    def test_stopped_while_trying(self) -> None:
        """It tries no more; started again before its time it tries at once, and has one timer."""
        self.outcomes = [PortUnavailable("no_fds", "x")] * 2
        self.it.start()
        self.it.start()
        self.assertEqual((self.outcomes, len(self.clock.getDelayedCalls())), ([], 1))
        self.successResultOf(Deferred.fromCoroutine(self.it.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class WordsTests(SynchronousTestCase):
    """Who says it to whom."""

    def test_here(self) -> None:
        """What happens on this machine is not said of the server; each reason of a system has a cure."""
        for number in (errno.EADDRINUSE, errno.EMFILE, errno.EADDRNOTAVAIL, errno.EACCES):
            failed = listen_failure("10.0.0.1", 80, OSError(number, "odd"))
            self.assertIn("server", failed.reason)
            self.assertNotIn("server", failed.here)
            self.assertIsNotNone(cure_of(failed.reason))
        self.assertIsNone(cure_of("port 80 is not allowed; allowed: 1024-65535"))
