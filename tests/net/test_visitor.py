"""Tests of gotunnel.net.visitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.net.visitor import Visitor, Waiting
from gotunnel.server.crossing import NodeVisitor
from gotunnel.server.groupvisitor import GroupVisitor
from gotunnel.server.public import PublicVisitor

LOCAL: Any = object()


@dataclass(slots=True, eq=False)
class _Listening(Visitor):
    """Hears of his end, and nothing else."""

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""


@dataclass(slots=True, eq=False)
class _Heir(_Listening):
    """Has that from another class."""


class SpecialTests(SynchronousTestCase):
    """Who is asked, and told, what most visitors neither say nor hear."""

    def test_special(self) -> None:
        """Whoever has one of those methods, or has it from another class, is told; a visitor of a port is not."""
        found = [each.special for each in (Visitor, PublicVisitor, _Listening, _Heir, GroupVisitor, NodeVisitor)]
        self.assertEqual(found, [False, False, True, True, True, True])


class WaitingTests(SynchronousTestCase):
    """Visitors that wait."""

    def test_in_turn(self) -> None:
        """First come, first served; to leave while all are looked at disturbs nobody."""
        waiting = Waiting(5.0)
        first, second, third = (Visitor(conn, "web", False, LOCAL, 0.0) for conn in "abc")
        for when, visitor in enumerate((first, second, third)):
            waiting.add(visitor, when)
        self.assertEqual([waiting.leave(each) for each in waiting if each is not first], [True, True])
        waiting.add(second, 3.0)
        self.assertEqual((len(waiting), waiting.next_expiry(1.0)), (2, 4.0))
        self.assertEqual((waiting.next(), waiting.expired(7.9), waiting.expired(8.0)), (first, [], [second]))
        self.assertEqual((len(waiting), waiting.next(), waiting.next_expiry(8.0)), (0, None, None))
