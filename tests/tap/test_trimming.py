"""When a role gives memory back while it runs."""

from __future__ import annotations

import platform

from twisted.application.service import Service
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from gotunnel.tap.memory import heap
from gotunnel.tap.trimming import MUCH, PERIOD, Trimming


class TrimmingTests(SynchronousTestCase):
    """A heap that is a number."""

    def setUp(self) -> None:
        self.clock, self.free, self.trims, self.looks = Clock(), MUCH, 0, 0
        self.inner = Service()
        self.role = Trimming(self.inner, self.clock, self.look, self.trim)
        self.role.startService()

    def look(self) -> int:
        """Count, and tell what is free."""
        self.looks += 1
        return self.free

    def trim(self) -> None:
        """Count; what is free counts as free all the same, but for the end of the heap."""
        self.trims += 1
        self.free -= 1

    def looked(self, free: int) -> int:
        """Let so much be free until the next look; return how often memory was given back by then."""
        self.free = free
        self.clock.advance(PERIOD)
        return self.trims

    def test_crowd(self) -> None:
        """Memory is given back once for a crowd that has gone, also for one that goes little by little; not while it is
        there, not for less than is worth it, and not again while nothing changes."""
        for free, trims in (
            (MUCH, 0), (2 * MUCH - 1, 0), (10, 0), (11, 0), (MUCH + 9, 0), (MUCH + 10, 1), (MUCH + 10, 1),
            (2 * MUCH + 8, 1), (2 * MUCH + 9, 2), (3 * MUCH, 2), (MUCH, 2), (2 * MUCH - 1, 2), (2 * MUCH, 3),
        ):  # fmt: skip
            self.assertEqual(self.looked(free), trims, free)

    def test_first_look(self) -> None:
        """What has become free since the start counts at the first look."""
        self.assertEqual((self.looked(2 * MUCH), self.looks), (1, 3))

    def test_seldom(self) -> None:
        """It looks once in each period, when that is over."""
        self.clock.pump([PERIOD - 0.1, 0.05])
        self.assertEqual(self.looks, 1)
        self.clock.pump([0.05, PERIOD - 0.1, 0.1])
        self.assertEqual(self.looks, 3)

    def test_stopped(self) -> None:
        """It ends with its role, and leaves no timer; to stop it again, or without a start, does no harm."""
        self.assertTrue(self.inner.running)
        self.looked(MUCH)
        self.successResultOf(self.role.stopService())
        self.assertEqual((self.inner.running, self.clock.getDelayedCalls()), (False, []))
        self.successResultOf(self.role.stopService())
        self.successResultOf(Trimming(self.inner, self.clock, self.look, self.trim).stopService())

    def test_heap(self) -> None:
        """What is free is told, of this very process, by a C library that can."""
        found, (name, version) = heap(), platform.libc_ver()
        self.assertEqual(found is not None, name == "glibc" and [*map(int, version.split("."))] >= [2, 33])
        if found is None:
            raise SkipTest("this C library does not tell")
        free, _ = found
        held = [bytearray(1 << 14) for _ in range(MUCH >> 13)]
        last = bytearray(1 << 14)  # above the hole, or it would go back of itself
        before = free()
        held.clear()
        self.assertGreater(free() - before, MUCH, last[0])
