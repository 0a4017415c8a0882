"""The numbers of ports that tests hold: two processes never have the same, and the kernel gives none of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.ports import PortSet
from gotunnel.server.allocation import any_ports
from tests import ports
from tests.ports import free_port, free_ports, unreserved
from tests.processes import ProcessTestCase

ASKS = """
import sys
from twisted.trial.unittest import SynchronousTestCase
from tests.ports import free_ports
print(*free_ports(SynchronousTestCase("run"), int(sys.argv[1])), flush=True)
sys.stdin.read()
"""


class ProcessesTests(ProcessTestCase):
    """Processes that ask for numbers at the same time."""

    def asks(self, count: int) -> subprocess.Popen[str]:
        """Start one that takes so many and keeps them."""
        process = subprocess.Popen(
            [sys.executable, "-c", ASKS, str(count)],
            env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(self._end, process)
        return process

    def test_no_two(self) -> None:
        """None of 500 numbers of each of two processes is also the other's, nor ours: of numbers that were merely free
        just then, one in 28 000 each, a dozen would be. What a process held is to be had when it was killed."""
        others = [self.asks(500) for _ in range(2)]
        ours = free_ports(self, 500)
        taken = [list(map(int, each.stdout.readline().split())) for each in others if each.stdout]
        together = [*ours, *taken[0], *taken[1]]
        self.assertEqual((len(together), len(set(together))), (1500, 1500))
        for each in others:
            each.kill()
            each.wait()
        self.patch(ports, "RESERVED", taken[0])
        self.assertIn(free_port(self), taken[0])


class NumbersTests(SynchronousTestCase):
    """Which numbers these are."""

    def test_kernels(self) -> None:
        """The kernel gives none of them to who asks for any port, nor does a server of the tests that may choose; one's
        own it may."""
        for _ in range(100):
            with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(
                listening.getsockname()
            ) as connection:
                for end in (listening, connection):
                    self.assertNotIn(end.getsockname()[1], ports.RESERVED)
        own, middle = free_port(self), ports.RESERVED[len(ports.RESERVED) // 2]
        chosen = islice(unreserved(any_ports)(PortSet.parse([own, f"{middle - 50}-{middle + 50}", "1024-1034"])), 50)
        self.assertLessEqual({port for port in chosen if port in ports.RESERVED}, ports._held)

    def test_somebody_listens(self) -> None:
        """Where a program listens that knows nothing of this, by TCP or UDP, at whichever address, is no free port."""
        at = free_ports(self, 3)
        self.patch(ports, "_held", set())  # the locks stay, so that nobody else takes one
        tcp = socket.create_server(("127.9.9.9", at[0]))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", at[1]))
        self.patch(ports, "RESERVED", at)
        with tcp, udp:
            self.assertEqual(free_port(self), at[2])
            with self.assertRaisesRegex(AssertionError, "are taken"):
                free_port(self)

    def test_the_tests(self) -> None:
        """A number is a test's to the end of its clean-ups, and then anybody's."""
        case = SynchronousTestCase("run")
        numbers = free_ports(case, 20)
        self.patch(ports, "RESERVED", numbers)
        self.assertRaises(AssertionError, free_port, self)
        case.doCleanups()
        self.assertIn(free_port(self), numbers)
        self.assertEqual(os.stat(ports._LOCKS).st_size, 0)  # a lock needs no byte
