"""The two steps of a stop, without signals and without time passing."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.tap.shutdown import SAME_SIGNAL, TwoStepStop


class _Draining(Service):
    def __init__(self) -> None:
        self.drained: Deferred[None] = Deferred()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.drained


class TwoStepStopTests(SynchronousTestCase):
    """stop_requested is what a signal becomes; stopService is what the reactor's shutdown calls."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.inner = _Draining()
        self.service = TwoStepStop(self.inner, self.reactor, "gotunnel-sample")
        self.service.startService()

    def test_one(self) -> None:
        """One request stops the reactor, which waits until the inner service has drained."""
        self.service.stop_requested("SIGTERM")
        self.assertTrue(self.reactor.hasStopped)
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.inner.drained.callback(None)
        self.successResultOf(stopped)

    def test_same_signal(self) -> None:
        """`timeout` signals a process and its group: what comes that close together is one request."""
        self.service.stop_requested("SIGTERM")
        stopped = self.service.stopService()
        self.reactor.advance(SAME_SIGNAL / 2)
        self.service.stop_requested("SIGTERM")
        self.assertNoResult(stopped)
        self.reactor.advance(SAME_SIGNAL)
        self.service.stop_requested("SIGTERM")
        self.successResultOf(stopped)

    def test_second_before_shutdown(self) -> None:
        """A second request that comes before the reactor asks us to stop counts too."""
        self.service.stop_requested("SIGINT")
        self.reactor.advance(SAME_SIGNAL)
        self.service.stop_requested("SIGTERM")
        self.successResultOf(self.service.stopService())

    def test_stopped_by_another(self) -> None:
        """Where something else has stopped the reactor, the first signal ends the draining."""
        stopped = self.service.stopService()
        self.service.stop_requested("SIGTERM")
        self.assertFalse(self.reactor.hasStopped)
        self.successResultOf(stopped)

    def test_drained_late(self) -> None:
        """The inner service may finish, or fail, after it was cut off; nothing happens twice."""
        stopped = self.service.stopService()
        self.service.stop_requested("SIGTERM")
        self.successResultOf(stopped)
        self.inner.drained.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
