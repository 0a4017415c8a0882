"""What the compiled part of the fast relay does with what must not happen: it refuses, and the process lives on."""

from __future__ import annotations

import gc
import os
import select
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.legbodies import OpenedBody
from gotunnel.wire.legs import FIN_FRAME, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import End, Event, State
from tests.net.test_fast_local import LINUX

if LINUX:
    from gotunnel.net.fast.local import FastLocal
    from gotunnel.net.fast.plainleg import PlainFastLeg
    from gotunnel.net.fast.poller import IN, Pump
    from gotunnel.net.fast.slottedlocal import SlottedLocal
    from gotunnel.net.fast.tlsleg import TlsFastLeg
    from gotunnel.net.fast.tools import Tools
    from gotunnel.net.pathwatch import PathWatch
try:
    from gotunnel.net.fast import _native
    from gotunnel.net.fast.nativeleg import (
        NativeDeadlines,
        NativeLocal,
        NativePlainLeg,
        NativePump,
        NativeTlsLeg,
    )

    BUILT = True
except ImportError:
    BUILT = False

ROOT = Path(__file__).resolve().parents[2]
built = skipUnless(BUILT, "the extension is not built")


@skipUnless(LINUX, "the fast relay needs Linux")
class GoneLocalTests(SynchronousTestCase):
    """A local connection that is gone, while somebody still has it."""

    if LINUX:
        make_pump: Callable[[], Any] = Pump
        make_local: Callable[..., FastLocal] = SlottedLocal

    def setUp(self) -> None:
        clock = Clock()
        self.pump = self.make_pump()
        self.addCleanup(self.pump.close)
        self.tools = Tools(clock, self.pump, PathWatch(clock), 10.0)
        self.others: set[FastLocal] = set()
        self.said: list[str] = []

    def local(self) -> FastLocal:
        """Return one."""
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        near.setblocking(False)
        return self.make_local(near, "x:1", "x", self.tools, self.others)

    def next_with(self, number: int) -> socket.socket:
        """Make a connection whose near end has this number, and return its far end."""
        other, far = socket.socketpair()
        self.addCleanup(far.close)
        self.addCleanup(other.close)
        if other.fileno() != number:
            os.dup2(other.fileno(), number)
            self.addCleanup(os.close, number)
        return far

    def test_number_of_another(self) -> None:
        """Its descriptor's number is soon another connection's: that one is neither written to, nor read, nor closed,
        whatever the gone one is told; and who waits for its end hears of it once."""
        local = self.local()
        local.on_gone = lambda: self.said.append("gone")
        number = local.fd
        local.read_more(True)
        local.abort()
        far = self.next_with(number)
        far.setblocking(False)
        far.send(b"for the other one")
        self.assertRaises(OSError, local.send, b"for the gone one")
        self.assertRaises(OSError, local.send_all, [b"for the", b" gone one"])
        local.lost()
        local.read_more(True)
        local.expect_much()
        self.pump.run(0, -1)
        self.assertEqual((local.fd, local.fileno(), local.reading, local.destination()), (-1, -1, False, ""))
        self.assertEqual(os.read(number, 100), b"for the other one")
        self.assertRaises(BlockingIOError, far.recv, 100)
        self.assertEqual(self.said, ["gone"])

    def test_another_process_has_it(self) -> None:
        """One that this process has closed, while a child by `fork` has the same connection, says nothing any more: not
        to the next one that gets its number, nor so that the loop goes round in circles."""
        local = self.local()
        number = local.fd
        with socket.socket(fileno=os.dup(number)) as childs:
            local.watch_for_loss()
            local.abort()
            self.next_with(number)
            told: list[int] = []
            self.pump.add(number, IN, told.append)
            childs.shutdown(socket.SHUT_RDWR)
            self.assertEqual(select.select([self.pump.fileno()], [], [], 0)[0], [])
            self.pump.run(0, -1)
            self.assertEqual(told, [])

    def test_not_in_the_poller(self) -> None:
        """Where the poller does not take it (the kernel has no room for one more), that is said, and it closes all the
        same."""
        local = self.local()
        number = os.dup(local.fd)
        self.pump.add(local.fd, IN, lambda events: None)
        self.addCleanup(os.close, number)
        self.assertRaises(FileExistsError, local.read_more, True)
        self.pump.remove(local.fd)
        self.assertIsNone(local._mask)
        local.abort()
        self.assertTrue(local.gone)


@built
class GoneNativeLocalTests(GoneLocalTests):
    """The same, compiled."""

    if BUILT:
        make_pump, make_local = NativePump, NativeLocal

    def local(self) -> FastLocal:
        """Return one whose socket Python has never asked for."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        host, port = listening.getsockname()
        local = _native.dial(host, port, "a target", NativeLocal, self.tools, self.others, 10_000, "")
        assert isinstance(local, NativeLocal)
        return local


@built
class RefusalTests(SynchronousTestCase):
    """Arguments that are none, and attributes that are not there."""

    def test_pump(self) -> None:
        """Numbers that are none."""
        pump = NativePump()
        self.addCleanup(pump.close)
        self.assertRaises(ValueError, pump.run, float("nan"), -1)
        self.assertRaises(OverflowError, pump.run, 0, 1 << 40)
        self.assertRaises(TypeError, pump.run, None, -1)
        self.assertRaises(TypeError, pump.run, 0, None)
        self.assertRaises(OverflowError, pump.handler_of, 1 << 40)
        for number in (-1, (1 << 31) - 1):
            self.assertRaises(OSError, pump.add, number, IN, print)
            self.assertRaises(OSError, pump.add_foreign, number)
            self.assertRaises(KeyError, pump.remove, number)
            self.assertIsNone(pump.handler_of(number))

    def test_pump_closed_by_a_handler(self) -> None:
        """The events behind it in the batch reach nobody."""
        pump = NativePump()
        told: list[int] = []
        for _ in range(3):
            near, far = socket.socketpair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            far.send(b"x")
            pump.add(near.fileno(), IN, lambda events: (told.append(events), pump.close()))
        self.assertFalse(pump.run(0, -1))
        self.assertEqual(told, [IN])
        self.assertRaises(OSError, pump.run, 0, -1)

    def test_leg_without_attributes(self) -> None:
        """A leg that was never begun, or whose attributes were deleted, says so."""
        for kind in (NativePlainLeg, NativeTlsLeg):
            leg: Any = kind.__new__(kind)  # type: ignore[call-overload]
            self.assertRaises(AttributeError, leg._write, b"x")
            leg._watched = True
            leg.end = End.DIALLER
            self.assertRaises(AttributeError, leg.happen, Event.GOT_OPEN)
            leg.end = End.OPENER
            leg._limited = True
            self.assertRaises(AttributeError, leg.open, None, b"{}")
            leg._fd = 1 << 20
            self.assertRaises(AttributeError, leg._watch, 6)

    def test_leg_that_loses_its_local(self) -> None:
        """What it has begun to read stays until that is done, whatever becomes of it meanwhile."""

        class Watch:
            def add(self, leg: Any) -> None:
                leg._local = None

        leg: Any = NativePlainLeg.__new__(NativePlainLeg)  # type: ignore[call-overload]
        clock, pump = Clock(), NativePump()
        self.addCleanup(pump.close)
        tools: Any = Tools(clock, pump, PathWatch(clock), 10.0)
        tools.watch = Watch()
        (near, far), (wire, other) = socket.socketpair(), socket.socketpair()
        for sock in (far, wire, other):
            self.addCleanup(sock.close)
            sock.setblocking(False)
        leg.equip(tools, -1, 1000, 1000)
        leg._tools, leg._fd = tools, wire.fileno()
        leg._local = NativeLocal(near, "", "", tools, set())
        del near
        far.send(b"word")
        leg.local_readable()
        self.assertEqual(other.recv(100), data_header(4) + b"word")
        self.assertIsNone(leg._local)

    def test_deleted(self) -> None:
        """What has no value says so."""
        leg: Any = NativePlainLeg.__new__(NativePlainLeg)  # type: ignore[call-overload]
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        local = NativeLocal(near, "", "", _Tools(), set())
        for thing, name in ((leg, "state"), (leg, "end"), (local, "_mask")):
            with self.assertRaises(AttributeError, msg=name):
                delattr(thing, name)

    def test_equipped_with_nothing(self) -> None:
        """What a leg is to have from its relay is there, or it says what is not."""
        leg: Any = NativePlainLeg.__new__(NativePlainLeg)  # type: ignore[call-overload]
        for there, missing in (("poller", "buffers"), ("buffers", "poller")):
            with self.assertRaisesRegex(AttributeError, missing):
                leg.equip(SimpleNamespace(**{there: None}), -1, 1, 1)

    def test_local_without_arguments(self) -> None:
        """None is made without a socket, and what it needs cannot be taken away."""
        self.assertRaises(TypeError, NativeLocal)
        self.assertRaises(TypeError, NativeLocal.__new__, NativeLocal)
        for name in ("_tools", "_poller", "_others"):
            with self.assertRaises(AttributeError):
                delattr(NativeLocal.__new__(NativeLocal, socket.socket(), "", "", _Tools(), set()), name)

    def test_deadline_of_no_length(self) -> None:
        """A length of time that is no number."""
        deadlines: Any = NativeDeadlines(Clock())
        deadlines._by_length["soon"] = {}
        leg: Any = NativePlainLeg.__new__(NativePlainLeg)  # type: ignore[call-overload]
        leg._deadlines, leg._answer_timeout, leg._watched, leg._corked = deadlines, "soon", True, True
        self.assertRaises(TypeError, leg.open, None, b"{}")

    def test_deadlines_after_quiet_times(self) -> None:
        """A deadline of a known length is waited for, also where the timer has run out for want of any, or would
        strike too late."""
        clock = Clock()
        clock.advance(1_000)  # by whatever clock the reactor goes: the roles' is not the wall's
        deadlines: Any = NativeDeadlines(clock)
        for strikes in (None, clock.seconds() + 60):
            deadlines._by_length = {5.0: {}}
            if strikes is not None:
                deadlines._wake(strikes)
            leg: Any = NativePlainLeg.__new__(NativePlainLeg)  # type: ignore[call-overload]
            leg._deadlines, leg._answer_timeout, leg._watched, leg._corked = deadlines, 5.0, True, True
            self.assertRaises(AttributeError, leg.open, None, b"{}")  # there is nobody: he is attached last
            (timer,) = clock.getDelayedCalls()
            self.assertEqual(timer.getTime(), clock.seconds() + 5.0)
            self.assertEqual(list(deadlines._by_length[5.0]), [leg])
            deadlines.stop(leg)
            self.assertEqual(len(deadlines), 0)
            deadlines.stop_all()

    def test_another_interpreter(self) -> None:
        """What is there once in a process is for its main interpreter."""
        script = (
            "import sys\n"
            "try: import _interpreters as some\n"
            "except ImportError: import _xxsubinterpreters as some\n"
            "inner = 'import sys; sys.path[:] = ' + repr(sys.path) + '''\n"
            "try: from gotunnel.net.fast import _native\n"
            "except ImportError: print(\"refused\", flush=True)\n"
            "'''\n"
            "some.run_string(some.create(), inner)\n"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
        self.assertEqual(ran.stdout, "refused\n", ran.stderr)


@skipUnless(LINUX, "the fast relay needs Linux")
class PausedLegTests(SynchronousTestCase):
    """A leg that is not read on for now."""

    def kinds(self) -> list[Any]:
        """Return what is tried."""
        return [PlainFastLeg, TlsFastLeg]

    def test_hang_up(self) -> None:
        """Its connection is over, and an attempt to send has heard of the reset already: what is told then, again and
        again, is a hang-up and no error."""
        for kind in self.kinds():
            for paused in ("_full", "_dialling"):
                leg: Any = kind.__new__(kind)
                leg._full = leg._dialling = leg._unhurried = False
                leg._out, leg.state = bytearray(), State.STREAMING
                setattr(leg, paused, True)
                said: list[str] = []
                leg.give_up = said.append
                leg.handle(select.EPOLLHUP)
                self.assertEqual(said, ["the connection broke"], (kind, paused))


@built
class PausedNativeLegTests(PausedLegTests):
    """The same, compiled."""

    def kinds(self) -> list[Any]:
        """See above."""
        return [NativePlainLeg, NativeTlsLeg]


@built
class UnhurriedTests(SynchronousTestCase):
    """OPENED that waits for company, for which the loop keeps the time."""

    def setUp(self) -> None:
        clock = Clock()
        self.pump = NativePump()
        self.addCleanup(self.pump.close)
        self.tools = Tools(clock, self.pump, PathWatch(clock), 10.0)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two ends of a connection."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.addCleanup(end.close)
        return ends

    def accepting(self) -> tuple[Any, socket.socket]:
        """Return a leg whose target has just answered, and its other end."""
        near, far = self.pair()
        leg: Any = NativePlainLeg.__new__(NativePlainLeg)  # type: ignore[call-overload]
        leg.equip(self.tools, -1, 1000, 1000)
        leg._tools, leg._watched, leg._fd, leg._mask = self.tools, True, near.fileno(), IN
        self.pump.add(leg._fd, IN, leg.handle)
        leg.end, leg.state = End.DIALLER, State.DIALLING
        leg.accept(NativeLocal(self.pair()[0], "", "", self.tools, set()))
        return leg, far

    def test_all_of_them(self) -> None:
        """Many wait a little, and then all leave, but for those that have left by themselves or whose leg is gone."""
        legs = [self.accepting() for _ in range(100)]
        for leg, _ in legs[::2]:
            leg._write(FIN_FRAME)
        more = [self.accepting() for _ in range(100)]
        legs[1][0].state = State.CLOSED
        until = time.monotonic() + 10.0
        while any(leg._unhurried for leg, _ in legs + more) and time.monotonic() < until:
            self.pump.run(1.0, -1)
        opened = encode_leg_frame(LegFrame.OPENED, OpenedBody().encode())
        for number, (_, far) in enumerate(legs + more):
            if number != 1:
                self.assertEqual(far.recv(100), opened + FIN_FRAME * (number < 100 and number % 2 == 0), number)
        self.assertRaises(BlockingIOError, legs[1][1].recv, 100)

    def test_wakes_in_time(self) -> None:
        """Who waits for something else is woken for them."""
        _, far = self.accepting()
        began = time.monotonic()
        self.assertRaises(BlockingIOError, far.recv, 100)
        self.pump.run(60.0, -1)
        self.pump.run(0, -1)
        self.assertTrue(far.recv(100))
        self.assertLess(time.monotonic() - began, 30.0)

    def test_keeps_nobody(self) -> None:
        """Neither who waited to the end nor who has left before is kept."""
        left = []
        for leaves in (False, True, False):
            leg, _ = self.accepting()
            if leaves:
                leg._write(FIN_FRAME)
            until = time.monotonic() + 10.0
            while leg._unhurried and time.monotonic() < until:
                self.pump.run(1.0, -1)
            self.pump.remove(leg._fd)
            leg._local.abort()
            leg._local = None
            left.append(weakref.ref(leg))
            del leg
        self.pump.run(0, -1)
        gc.collect()
        self.assertEqual([each() for each in left], [None] * 3)

    def test_failing(self) -> None:
        """What one of them raises then is a bug of his alone; what ends the process comes out."""
        told: list[Any] = []
        self.pump._failed = lambda fd, leg, problem: told.append((fd, leg, problem))  # type: ignore[method-assign]
        until = time.monotonic() + 10.0
        for problem in (ZeroDivisionError(), KeyboardInterrupt()):

            def fail(pipe: object, problem: BaseException = problem) -> None:
                raise problem

            (leg, _), (other, far) = self.accepting(), self.accepting()
            leg._up, leg._flush_pipe = object(), fail
            if isinstance(problem, KeyboardInterrupt):
                with self.assertRaises(KeyboardInterrupt):
                    while time.monotonic() < until:
                        self.pump.run(1.0, -1)
            while other._unhurried and time.monotonic() < until:
                self.pump.run(1.0, -1)
            self.assertTrue(far.recv(100))
            if not isinstance(problem, KeyboardInterrupt):
                self.assertEqual(told, [(leg._fd, leg, problem)])
        self.assertEqual(len(told), 1)

    def test_closed(self) -> None:
        """A loop that closes keeps none of them."""
        left = []
        for _ in range(70):
            leg, _ = self.accepting()
            left.append(weakref.ref(leg))
            leg._local.abort()
            leg._local = None
        del leg
        self.assertEqual(len([each for each in left if each() is not None]), 70)
        self.pump.close()
        gc.collect()
        self.assertEqual([each for each in left if each() is not None], [])


class _Tools:
    """What a local connection asks for at its beginning."""

    poller = None
