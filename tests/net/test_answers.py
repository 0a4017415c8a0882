"""Answers of plugins, however they misbehave."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import GotunnelError
from gotunnel.net.answers import Late, answer


class AnswerTests(SynchronousTestCase):
    """Whatever is asked, there is an end."""

    def setUp(self) -> None:
        self.clock = Clock()

    def ask(self, made: Any, seconds: float | None = 5.0) -> Deferred[Any]:
        return answer(self.clock, seconds, lambda: made)

    def test_comes(self) -> None:
        """At once, later, from a coroutine, as a failure; and no timer is left."""

        async def late() -> str:
            return "x"

        waiting: Deferred[str] = Deferred()
        for made in ("x", succeed("x"), late()):
            self.assertEqual(self.successResultOf(self.ask(made)), "x")
        told = self.ask(waiting)
        self.assertNoResult(told)
        waiting.callback("x")
        self.assertEqual(self.successResultOf(told), "x")
        self.failureResultOf(self.ask(fail(ZeroDivisionError())), ZeroDivisionError)
        self.failureResultOf(answer(self.clock, 5.0, lambda: 1 // 0), ZeroDivisionError)
        self.failureResultOf(answer(self.clock, 5.0, exit, 3), SystemExit)
        self.failureResultOf(self.ask(fail(CancelledError())), GotunnelError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_same_twice(self) -> None:
        """Who answers with one Deferred always has said the same to each, and a failure never becomes None."""
        no: Deferred[str] = succeed("no")
        self.assertEqual([self.successResultOf(self.ask(no)) for _ in range(3)], ["no"] * 3)
        failed: Deferred[str] = fail(ZeroDivisionError())
        self.failureResultOf(self.ask(failed), ZeroDivisionError)
        self.assertIsNotNone(self.successResultOf(self.ask(failed)))
        waiting: Deferred[str] = Deferred()
        several = [self.ask(waiting) for _ in range(3)]
        waiting.callback("no")
        self.assertEqual([self.successResultOf(each) for each in several], ["no"] * 3)

    def test_late(self) -> None:
        """Who is silent is given up in time, also one who breaks at that, or takes no notice; what he says later is not
        heard."""
        for canceller in (None, lambda _: None, lambda _: 1 // 0, lambda d: d.callback("too late")):
            made: Deferred[str] = Deferred(canceller)
            told = self.ask(made)
            self.clock.advance(4.9)
            self.assertNoResult(told)
            self.clock.advance(0.1)
            self.assertEqual(str(self.failureResultOf(told, Late).value), "no answer within 5 s")
            if not made.called:
                made.callback("later still")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_given_up(self) -> None:
        """Cancelled by who asked, he breaks at that, and who asked goes on."""
        told = self.ask(Deferred(lambda _: 1 // 0), None)
        told.cancel()
        self.failureResultOf(told, CancelledError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
