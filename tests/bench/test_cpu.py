"""Reading what processes used, checked against what they say themselves."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from bench.cpu import cpu_ns, descendants, resident_bytes, ticks_ns

BURN = """
import threading, time
def burn():
    while time.thread_time() < 0.1: pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
burn()
print(time.process_time_ns(), flush=True)
input()
"""


class CpuTests(SynchronousTestCase):
    """One child that burns CPU in two threads, one of which has ended."""

    def start(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    def test_all_threads(self) -> None:
        """The sum has all threads, those that ended too, and is as exact as the process's own."""
        process = self.start(sys.executable, "-c", BURN)
        assert process.stdout is not None
        own = int(process.stdout.readline())
        self.assertGreater(own, 190_000_000)
        read = cpu_ns([process.pid])
        self.assertTrue(0 <= read - own < 20_000_000, (own, read))
        self.assertTrue(abs(ticks_ns(process.pid) - read) < 40_000_000, (ticks_ns(process.pid), read))

    def test_sum(self) -> None:
        """Several processes are added up."""
        us, other = os.getpid(), self.start("sleep", "60").pid
        self.assertGreaterEqual(cpu_ns([us, us, other]), 2 * cpu_ns([us]) * 0.9)

    def test_gone(self) -> None:
        """A process that ended is an error, and not one that used nothing."""
        process = self.start("true")
        process.wait()
        self.assertRaises(ProcessLookupError, cpu_ns, [process.pid])

    def test_descendants(self) -> None:
        """Children of children belong to it."""
        process = self.start("sh", "-c", "sh -c 'sleep 60 & echo $!; wait' & wait")
        assert process.stdout is not None
        sleeping = int(process.stdout.readline())
        found = descendants(process.pid)
        self.assertEqual(found[0], process.pid)
        self.assertIn(sleeping, found)
        self.assertNotIn(os.getpid(), found)
        os.kill(sleeping, 9)

    def test_memory(self) -> None:
        """Memory is that of this process, in bytes."""
        self.assertTrue(10 << 20 < resident_bytes([os.getpid()]) < 4 << 30)
