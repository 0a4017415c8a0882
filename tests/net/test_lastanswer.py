"""Tests of gotunnel.net.lastanswer."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.net.lastanswer import KNOWN, LastAnswers

from .targetflows import FIRST, HOSTS, SECOND, THIRD


class LastAnswerTests(SynchronousTestCase):
    """What is remembered."""

    def test_order(self) -> None:
        """An address that has answered comes first, the others as they were; not for longer than it is known for, even
        if it goes on answering, not where the name does not have it any more, and not when it has refused."""
        clock, target = Clock(), HostPort("service.test", 53)
        answers = LastAnswers(clock)
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
        answers.answered(target, SECOND)
        self.assertEqual(answers.ordered(target, HOSTS), [SECOND, FIRST, THIRD])
        self.assertEqual(answers.ordered(HostPort("other.test", 53), HOSTS), [*HOSTS])
        answers.forget(target, FIRST)
        clock.advance(KNOWN - 0.1)
        answers.answered(target, SECOND)
        self.assertEqual(answers.ordered(target, HOSTS), [SECOND, FIRST, THIRD])
        clock.advance(0.1)
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
        answers.answered(target, SECOND)
        answers.forget(target, SECOND)
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
        answers.answered(target, THIRD)
        self.assertEqual(answers.ordered(target, (FIRST, SECOND)), [FIRST, SECOND])
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
