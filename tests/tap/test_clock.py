"""The reactor's clock: what `use_monotonic` does to real reactors, and that a jump of the wall clock moves no timer."""

from __future__ import annotations

import os
import shutil
import time

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from gotunnel.net.clock import use_monotonic
from tests.processes import DEADLINE, ProcessTestCase

JUMPING = """
import os, time
from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from gotunnel.net.clock import use_monotonic
use_monotonic(reactor)
began, wall = time.monotonic(), time.time()
ticks = []
def jump():
    os.replace("clock.new", "clock")
def tick():
    ticks.append(time.monotonic())
    if len(ticks) == 5:
        reactor.callLater(0.05, jump)  # when the sixth tick is scheduled already
    if len(ticks) == 10:
        reactor.stop()
LoopingCall(tick).start(0.1)
reactor.callLater(DEADLINE, reactor.crash)
reactor.run()
print(round(time.time() - wall), len(ticks), time.monotonic() - began < DEADLINE / 2)
"""


class UseMonotonicTests(SynchronousTestCase):
    """With a reactor of its own, which never runs."""

    def setUp(self) -> None:
        self.reactor = EPollReactor()
        self.addCleanup(self._close)

    def _close(self) -> None:
        for reader in self.reactor.removeAll() + list(self.reactor._internalReaders):
            reader.connectionLost(None)
        self.reactor._poller.close()

    def test_timers_follow(self) -> None:
        """seconds, callLater, reset and LoopingCall use the monotonic clock."""
        use_monotonic(self.reactor)
        before = time.monotonic()
        self.assertLessEqual(before, self.reactor.seconds())
        call = self.reactor.callLater(100, lambda: None)
        self.assertTrue(before + 100 <= call.getTime() <= time.monotonic() + 100)
        call.reset(50)
        self.assertTrue(before + 50 <= call.getTime() <= time.monotonic() + 50)
        loop = LoopingCall(lambda: None)
        loop.clock = self.reactor
        loop.start(10)
        self.assertTrue(before + 10 <= loop.call.getTime() <= time.monotonic() + 10)

    def test_twice(self) -> None:
        """A second call changes nothing, also when timers run."""
        use_monotonic(self.reactor)
        self.reactor.callLater(1, lambda: None)
        use_monotonic(self.reactor)
        self.assertIs(self.reactor.seconds, time.monotonic)

    def test_too_late(self) -> None:
        """Timers of the other clock would fire never or at once: that is refused."""
        self.reactor.callLater(1, lambda: None)
        self.assertRaises(RuntimeError, use_monotonic, self.reactor)
        self.assertIsNot(self.reactor.seconds, time.monotonic)


class JumpTests(ProcessTestCase):
    """The wall clock of a process is set while its reactor runs."""

    def jump(self, to: str) -> tuple[int, int, bool]:
        library = next((path for path in _LIBRARIES if os.path.exists(path)), None)
        if shutil.which("faketime") is None or library is None:
            raise SkipTest("faketime is not installed; it sets the clock of one process")
        (self.folder / "clock").write_text("+0\n")
        (self.folder / "clock.new").write_text(f"{to}\n")
        code, out, err = self.run_python(
            "-c",
            JUMPING.replace("DEADLINE", str(DEADLINE)),
            LD_PRELOAD=library,
            FAKETIME_TIMESTAMP_FILE=str(self.folder / "clock"),
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            FAKETIME_NO_CACHE="1",
        )
        self.assertEqual(code, 0, err)
        jumped, ticks, soon = out.split()
        return int(jumped), int(ticks), soon == "True"

    def test_forwards(self) -> None:
        """An hour forwards: every tick comes once, at its time."""
        jumped, ticks, soon = self.jump("+3600")
        self.assertTrue(3600 <= jumped < 3600 + DEADLINE)
        self.assertEqual((ticks, soon), (10, True))

    def test_backwards(self) -> None:
        """An hour backwards: the ticks go on; with the wall clock they would wait for an hour."""
        jumped, ticks, soon = self.jump("-3600")
        self.assertTrue(-3600 <= jumped < -3600 + DEADLINE)
        self.assertEqual((ticks, soon), (10, True))


_LIBRARIES = [
    f"/usr/lib/{folder}faketime/libfaketime.so.1"
    for folder in ("", "x86_64-linux-gnu/", "aarch64-linux-gnu/", "riscv64-linux-gnu/", "i386-linux-gnu/")
]
