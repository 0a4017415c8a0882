"""The fast relay's own loop: what it tells to whom, and that a reactor which waits by it is one like any
other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase, TestCase

LINUX = sys.platform.startswith("linux")
if LINUX:
    from gotunnel.net.fast.poller import ERR, IN, OUT, Pump

ROOT = Path(__file__).resolve().parents[2]


@skipUnless(LINUX, "the fast relay needs Linux")
class PumpTests(SynchronousTestCase):
    """Events and handlers."""

    if LINUX:
        make_pump: Callable[[], Any] = Pump

    def setUp(self) -> None:
        self.pump = self.make_pump()
        self.addCleanup(self.pump.close)
        self.told: list[tuple[str, int]] = []

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
                    self.pump.remove(sock.fileno(), closing=True)
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
        """A descriptor that is ready again and again does not keep it beyond its time."""
        near, far = self.pair()
        far.send(b"x")
        self.pump.add(near.fileno(), IN, self.note("near"))
        self.assertFalse(self.pump.serve(0.05, -1))
        self.assertTrue(self.told)


REACTOR = """
from gotunnel.net.fast.reactor import PumpReactor, install
install()
import socket
from twisted.internet import reactor, task, threads
from gotunnel.net.fast.poller import IN
assert isinstance(reactor, PumpReactor)
reactor._poller.fileno()  # the one private attribute that it reads
reactor._moveCallLaterSooner  # the private method that it replaces
near, far = socket.socketpair()
near.setblocking(False)
said = []

def readable(events):
    near.recv(10)
    said.append("read")
    # Scheduled by a handler of the pump, while the reactor waits for something much later.
    reactor.callLater(0.01, far.send, b"y")
    reactor.pump.remove(near.fileno())
    reactor.pump.add(near.fileno(), IN, readable_again)

def readable_again(events):
    near.recv(10)
    said.append("read again")
    # Moved by a handler of the pump: to a time before that which the reactor waits for.
    moved.reset(0.01)

def late():
    said.append("late")
    threads.deferToThread(lambda: 7).addCallback(threaded)

def threaded(result):
    said.append(f"thread {result}")
    reactor.pump.add(far.fileno(), 4, writable)

def writable(events):
    reactor.pump.remove(far.fileno())
    said.append("stop")
    reactor.stop()

reactor.addSystemEventTrigger("before", "shutdown", lambda: task.deferLater(reactor, 0.01, said.append, "drained"))
reactor.pump.add(near.fileno(), IN, readable)
reactor.callLater(60, said.append, "never")
moved = reactor.callLater(70, late)
reactor.callWhenRunning(far.send, b"x")
reactor.run()
assert said == ["read", "read again", "late", "thread 7", "stop", "drained"], said
"""

CONTRACT = """
from gotunnel.net.fast.reactor import install
install()
from twisted.internet import reactor
from gotunnel.net.clock import use_monotonic
use_monotonic(reactor)  # as the roles do
from twisted.scripts.trial import run
run()
"""


@skipUnless(LINUX, "the fast relay needs Linux")
class PumpReactorTests(TestCase):
    """In processes of their own, since a process has one reactor."""

    def run_python(self, script: str, *words: str) -> None:
        """Run a script and expect that it succeeds."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        found = subprocess.run(
            [sys.executable, "-c", script, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=110,
        )
        self.assertEqual(found.returncode, 0, found.stdout[-3000:] + found.stderr[-3000:])

    def test_reactor(self) -> None:
        """Timers, threads, stopping and shutdown triggers work while the pump waits."""
        self.run_python(REACTOR)

    def test_contract_plain(self) -> None:
        """The contract of relays holds on this loop too, over plain legs."""
        self.run_python(CONTRACT, "tests.net.test_fast.FastRelayTests")

    def test_contract_tls(self) -> None:
        """And over TLS of its own."""
        self.run_python(CONTRACT, "tests.net.test_fast.FastRelayOverOwnTlsTests")
