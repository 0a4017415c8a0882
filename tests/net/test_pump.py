"""The fast relay's own loop: what it tells to whom, and when it returns. The reactor which waits by it is tried in
test_pump_reactor."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

LINUX = sys.platform.startswith("linux")
if LINUX:
    from gotunnel.net.fast.poller import ERR, IN, OUT, Pump


@skipUnless(LINUX, "the fast relay needs Linux")
class PumpTests(SynchronousTestCase):
    """Events and handlers."""

    if LINUX:
        make_pump: Callable[[], Any] = Pump

    def setUp(self) -> None:
        self.pump = self.make_pump()
        self.addCleanup(self.pump.close)
        self.told: list[tuple[str, int]] = []
        before = signal.signal(signal.SIGALRM, self.stays)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 20)

    def stays(self, number: int, frame: object) -> None:
        """Called when a loop has not returned for long."""
        self.fail("it would stay for ever")

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two ends of a connection."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.addCleanup(end.close)
        return ends

    def note(self, name: str) -> object:
        """Return a handler that notes what it is told."""
        return lambda events: self.told.append((name, events))

    def test_tells(self) -> None:
        """A handler is told what it asked for, and nothing once it is removed."""
        near, far = self.pair()
        self.pump.add(near.fileno(), IN, self.note("near"))
        self.pump.run(0, -1)
        self.assertEqual(self.told, [])
        far.send(b"x")
        self.assertFalse(self.pump.run(0, -1))
        self.pump.set(near.fileno(), OUT)
        self.pump.run(0, -1)
        self.pump.remove(near.fileno())
        self.pump.run(0, -1)
        self.assertEqual(self.told, [("near", IN), ("near", OUT)])

    def test_errors_without_mask(self) -> None:
        """Who asks for nothing is still told that the connection broke."""
        near, far = self.pair()
        self.pump.add(near.fileno(), 0, self.note("near"))
        far.close()
        self.pump.run(0, -1)
        self.assertTrue(self.told and self.told[0][1] & ERR)

    def test_number_used_again(self) -> None:
        """A descriptor's events do not reach the next one that gets its number in the same batch."""
        first, other = self.pair()
        second, _ = self.pair()
        spare, spare_far = self.pair()
        number = second.fileno()

        def replace(events: int) -> None:
            for sock in (first, second):
                if sock.fileno() >= 0 and sock is not keep:
                    self.pump.remove(sock.fileno())
            os.dup2(spare.fileno(), number)
            self.pump.add(number, IN, self.note("newcomer"))

        keep = first
        other.send(b"x")
        self.pump.add(first.fileno(), IN, replace)
        self.pump.add(number, IN | OUT, self.note("old"))
        self.pump.run(0, -1)
        self.assertEqual(self.told, [])
        self.assertNotIn("newcomer", [name for name, _ in self.told])
        self.pump.remove(first.fileno())
        self.pump.run(0, -1)
        self.assertNotIn("newcomer", [name for name, _ in self.told])
        spare_far.send(b"y")
        self.pump.run(0, -1)
        self.assertEqual([each for each in self.told if each[0] == "newcomer"], [("newcomer", IN)])

    def test_bug_of_one(self) -> None:
        """A handler that raises is logged and told ERR once; the others are served."""
        near, far = self.pair()
        good, good_far = self.pair()

        def bad(events: int) -> None:
            self.told.append(("bad", events))
            if events == ERR:
                self.pump.remove(near.fileno())
                return
            raise ZeroDivisionError

        self.pump.add(near.fileno(), IN, bad)
        self.pump.add(good.fileno(), IN, self.note("good"))
        far.send(b"x")
        good_far.send(b"x")
        self.pump.run(0, -1)
        self.assertEqual(sorted(self.told), sorted([("bad", IN), ("bad", ERR), ("good", IN)]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_foreign(self) -> None:
        """The descriptor without a handler is reported."""
        near, far = self.pair()
        self.pump.add_foreign(near.fileno())
        self.assertFalse(self.pump.run(0, near.fileno()))
        far.send(b"x")
        self.assertTrue(self.pump.run(0, near.fileno()))

    def test_serve(self) -> None:
        """It returns when its time is over, for a descriptor that is not its own, and when a handler says so: what a
        handler is told of meanwhile is all that has come."""
        near, far = self.pair()
        foreign, other = self.pair()
        self.pump.add_foreign(foreign.fileno())

        def pass_on(events: int) -> None:
            count = len(near.recv(10))
            self.told.append(("near", count))
            if count == 1:
                far.send(b"xx")
            elif count == 2:
                self.pump.must_return = True
            else:
                other.send(b"y")

        self.pump.add(near.fileno(), IN, pass_on)
        self.assertFalse(self.pump.serve(0.001, foreign.fileno()))
        far.send(b"x")
        while len(self.told) < 2:
            self.assertFalse(self.pump.serve(-1, foreign.fileno()))
        far.send(b"xxx")
        while not self.pump.serve(-1, foreign.fileno()):
            self.assertLess(len(self.told), 4)
        self.assertEqual(self.told, [("near", 1), ("near", 2), ("near", 3)])

    def test_time(self) -> None:
        """A descriptor that is ready again and again does not keep it beyond its time, nor does it return before."""
        near, far = self.pair()
        far.send(b"x")
        self.pump.add(near.fileno(), IN, self.note("near"))
        began = time.monotonic()
        self.assertFalse(self.pump.serve(0.05, -1))
        self.assertGreaterEqual(time.monotonic(), began + 0.05)
        self.assertTrue(self.told)
        self.pump.set(near.fileno(), 0)
        began = time.monotonic()
        self.pump.run(0.0009, -1)  # in milliseconds nothing: who asks again and again would go round in circles
        self.assertGreaterEqual(time.monotonic(), began + 0.0009)

    def test_time_of_interruptions(self) -> None:
        """What comes meanwhile does not begin its time anew, be it a signal or an event."""
        near, far = self.pair()
        rung: list[int] = []

        def ring(number: int, frame: object) -> None:
            rung.append(number)
            far.send(b"x")

        signal.signal(signal.SIGALRM, ring)
        self.pump.add(near.fileno(), IN, lambda events: near.recv(1))
        for _ in range(10):  # a busy machine may be late for once; a time that begins anew always is
            rung.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.45, 0.45)
            self.assertFalse(self.pump.serve(0.5, -1))
            signal.setitimer(signal.ITIMER_REAL, 0)
            if len(rung) == 1:
                return
        self.fail("it stays longer than it is told")

    def test_keeps_nothing(self) -> None:
        """A handler that is removed is forgotten, whatever it was told and has raised."""

        class Handler:
            def __call__(self, events: int) -> None:
                if events == ERR:
                    return
                near.recv(1)
                raise ZeroDivisionError

        near, far = self.pair()
        handler = Handler()
        self.pump.add(near.fileno(), IN, handler)
        for _ in range(3):
            far.send(b"x")
            self.pump.run(0, -1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.pump.remove(near.fileno())
        kept = weakref.ref(handler)
        del handler
        gc.collect()
        self.assertIsNone(kept())

    def test_removes_itself(self) -> None:
        """A handler may be held by nothing but the loop, and leave it while it is told."""
        near, far = self.pair()

        def leave(events: int, held: list[int]) -> None:
            self.pump.remove(near.fileno())
            gc.collect()
            self.told.append(("left", len(held)))

        self.pump.add(near.fileno(), IN, partial(leave, held=[1, 2, 3]))
        far.send(b"x")
        self.pump.run(0, -1)
        self.assertEqual(self.told, [("left", 3)])

    def newcomer(self, runs_first: bool) -> None:
        """A handler runs the loop itself, and puts another connection behind a number with an event in its batch."""
        (first, other), (second, _), (spare, spare_far) = self.pair(), self.pair(), self.pair()
        number = second.fileno()

        def replace(events: int) -> None:
            first.recv(1)
            if runs_first:
                self.pump.run(0, -1)
            self.pump.remove(number)
            os.dup2(spare.fileno(), number)
            self.pump.add(number, IN, self.note("newcomer"))
            if not runs_first:
                self.pump.run(0, -1)

        other.send(b"x")
        self.pump.add(first.fileno(), IN, replace)
        self.pump.add(number, IN | OUT, lambda events: None)
        self.pump.run(0, -1)
        self.assertEqual(self.told, [])
        spare_far.send(b"y")
        self.pump.run(0, -1)
        self.assertEqual(self.told, [("newcomer", IN)])

    def test_run_by_a_handler(self) -> None:
        """That one is told nothing of it, if it was there when the handler ran the loop."""
        self.newcomer(runs_first=False)

    def test_run_by_a_handler_first(self) -> None:
        """Nor if it came behind that."""
        self.newcomer(runs_first=True)
