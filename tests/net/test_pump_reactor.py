"""A reactor which waits by the fast relay's own loop, compiled or not, is one like any other of Twisted's: what its
handlers, threads and signals ask of it is done in time, however many bytes there are. Each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import TestCase

from gotunnel.net.fast.compiled import lacking
from tests.net.test_pump import LINUX

ROOT = Path(__file__).resolve().parents[2]

BEGIN = """
from gotunnel.net.fast.reactor import PumpReactor, install
install()
import os, signal, socket, threading, time, weakref
from twisted.internet import defer, endpoints, protocol, reactor, task, threads, utils
from gotunnel.net.clock import use_monotonic
from gotunnel.net.fast.poller import IN, OUT
use_monotonic(reactor)  # as the roles do
assert isinstance(reactor, PumpReactor)
near, far = socket.socketpair()
near.setblocking(False)
said = []
never = reactor.callLater(60, os._exit, 60)
"""

SCHEDULING = """
reactor._poller.fileno()  # the one private attribute that it reads
reactor._moveCallLaterSooner  # the private method that it replaces

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
    reactor.pump.add(far.fileno(), OUT, writable)

def writable(events):
    reactor.pump.remove(far.fileno())
    said.append("stop")
    reactor.stop()

reactor.addSystemEventTrigger("before", "shutdown", lambda: task.deferLater(reactor, 0.01, said.append, "drained"))
reactor.pump.add(near.fileno(), IN, readable)
moved = reactor.callLater(70, late)
reactor.callWhenRunning(far.send, b"x")
reactor.run()
assert said == ["read", "read again", "late", "thread 7", "stop", "drained"], said
"""

CRASHING = """
def readable(events):
    near.recv(10)
    reactor.crash()

reactor.pump.add(near.fileno(), IN, readable)
for _ in range(2):  # it can be run again
    reactor.callWhenRunning(far.send, b"x")
    reactor.run()
    said.append("crashed")
assert said == ["crashed"] * 2, said
"""

ENDING = """
# As a role that waits for its last visitor: a handler of the pump says that he is gone.
gone = defer.Deferred()

def readable(events):
    near.recv(10)
    gone.callback(None)

reactor.pump.add(near.fileno(), IN, readable)
reactor.addSystemEventTrigger("before", "shutdown", lambda: gone)
reactor.callLater(0, reactor.stop)
# Behind what the reactor does at once when it is stopped, and without a word to it.
threading.Timer(0.3, far.send, [b"x"]).start()
reactor.run()
assert reactor.seconds() < never.getTime() - 30
"""

CANCELLING = """
# As dials that each take their time: a timer that is cancelled at one of the next events.
most, count, timers, last = 0, 0, weakref.WeakSet(), never
far.send(b"x")

def readable(events):  # and so it stays
    global most, count, last
    if last is not never:
        last.cancel()
    last = reactor.callLater(30, print)
    timers.add(last)
    most, count = max(most, len(timers)), count + 1
    if count == 5000:
        reactor.stop()

reactor.pump.add(near.fileno(), IN, readable)
reactor.run()
assert most < 1000, most
"""

ITERATING = """
def readable(events):
    near.recv(10)
    reactor.callLater(0.01, reactor.stop)
    reactor.iterate(0)

reactor.pump.add(near.fileno(), IN, readable)
reactor.callWhenRunning(far.send, b"x")
reactor.run()
"""

FLOOD = """
# More descriptors than are told of at once, and each of them always has something to say.
floods = [socket.socketpair() for _ in range(200)]
def told(events):
    pass
for here, there in floods:
    there.send(b"x")
    reactor.pump.add(here.fileno(), IN, told)
waited_for = {"timer", "thread", "connection", "process", "signal"}

def heard(what):
    said.append(what)
    if set(said) == waited_for:
        os.kill(os.getpid(), signal.SIGTERM)  # at which the reactor stops

class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

class Asking(protocol.Protocol):
    def connectionMade(self):
        self.transport.write(b"?")

    def dataReceived(self, data):
        heard("connection")

class Echoes(protocol.ServerFactory):
    protocol = Echo

def begin():
    never.reset(60)
    reactor.callLater(0.05, heard, "timer")
    threads.deferToThread(time.sleep, 0.01).addCallback(lambda _: heard("thread"))
    port = reactor.listenTCP(0, Echoes(), interface="127.0.0.1").getHost().port
    endpoints.connectProtocol(endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port), Asking())
    utils.getProcessOutput("/bin/sh", ["-c", "echo"]).addCallback(lambda _: heard("process"))
    signal.signal(signal.SIGALRM, lambda number, frame: heard("signal"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)

reactor.callWhenRunning(begin)
reactor.run()
assert sorted(said) == sorted(waited_for), said
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


class ProcessTestCase(TestCase):
    """A process has one reactor."""

    environment: dict[str, str] = {}

    def run_python(self, script: str, *words: str) -> None:
        """Run a script and expect that it succeeds."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        found = subprocess.run(
            [sys.executable, "-c", script, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            capture_output=True,
            text=True,
            timeout=110,
        )
        self.assertEqual(found.returncode, 0, found.stdout[-3000:] + found.stderr[-3000:])


@skipUnless(LINUX, "the fast relay needs Linux")
class PumpReactorTests(ProcessTestCase):
    """What Twisted's reactors do, by the loop in Python."""

    environment = {"GOTUNNEL_NATIVE": "0"}

    def test_scheduling(self) -> None:
        """Timers, threads, stopping and shutdown triggers work while the pump waits."""
        self.run_python(BEGIN + SCHEDULING)

    def test_crash(self) -> None:
        """A handler ends the loop at once."""
        self.run_python(BEGIN + CRASHING)

    def test_end(self) -> None:
        """A shutdown that waits for a handler ends with it, and not with the next timer."""
        self.run_python(BEGIN + ENDING)

    def test_cancelled_timers(self) -> None:
        """They do not pile up as long as there are bytes."""
        self.run_python(BEGIN + CANCELLING)

    def test_iterate(self) -> None:
        """A handler that runs the reactor itself does not lose what it scheduled before."""
        self.run_python(BEGIN + ITERATING)

    def test_flood(self) -> None:
        """Bytes without end keep nothing else waiting: timers, threads, Twisted's connections, processes, signals."""
        self.run_python(BEGIN + FLOOD)


@skipUnless(LINUX and lacking() is None, "the extension is not built")
class NativePumpReactorTests(PumpReactorTests):
    """The same, compiled."""

    environment = {"GOTUNNEL_NATIVE": "1"}


@skipUnless(LINUX, "the fast relay needs Linux")
class ContractTests(ProcessTestCase):
    """The contract of relays on this loop."""

    def test_plain(self) -> None:
        """Over plain legs."""
        self.run_python(CONTRACT, "tests.net.test_fast.FastRelayTests")

    def test_tls(self) -> None:
        """And over TLS of its own."""
        self.run_python(CONTRACT, "tests.net.test_fast.FastRelayOverOwnTlsTests")
