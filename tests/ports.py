"""Port numbers that a test hands on, to a process that listens there later, or says to be nobody's: while it holds one,
nobody else on this machine gets it, whichever address it is for.

A number that the kernel has given, and that was closed again, is free for everybody until somebody listens: another
test's process may be given the same, or use it for a connection that it makes. These are from a range out of which the
kernel gives none, and a lock on one byte of a file, that of the number, says whose it is. The kernel takes such locks
away when a process ends, however it ends. A test that listens itself, and at once, needs none: it listens on port 0.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.ports import PortSet

__all__ = ["free_port", "free_ports", "unreserved"]

KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Where Linux says which ports it gives to whoever asks for any, and to connections."""

ENOUGH = 1000
"""How many numbers are plenty for all tests that run side by side."""


def _reserved() -> range:
    # Low ones are for services that have fixed numbers, among them those in other tests.
    low, high = map(int, KERNELS.read_text().split()) if KERNELS.exists() else (32768, 65535)
    ranges = range(21_000, min(low, 65_536)), range(max(high + 1, 21_000), 65_536)
    best = max(ranges, key=len)
    # A kernel that was told to give nearly all of them leaves no such range: then only tests keep off each other.
    return best if len(best) >= ENOUGH else range(21_000, 31_000)


RESERVED = _reserved()
"""The numbers."""

# Opened once: whoever closes any descriptor of a file loses all his locks on it. A user's, because in a folder that all
# may write to the kernel lets nobody open another's file.
_LOCKS = os.open(Path(tempfile.gettempdir()) / f"gotunnel-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)

_held: set[int] = set()  # a process is never kept off by its own locks
_one_at_a_time = threading.Lock()


def free_port(case: SynchronousTestCase) -> int:
    """Return a number where nobody listens, by TCP or UDP, at any address; it is the test's until its clean-ups are
    done that were added later than this."""
    with _one_at_a_time:
        number = _take()
    case.addCleanup(_give_back, number)
    return number


def free_ports(case: SynchronousTestCase, count: int) -> list[int]:
    """The same for some."""
    return [free_port(case) for _ in range(count)]


def unreserved(choose: Callable[[PortSet], Iterator[int]]) -> Callable[[PortSet], Iterator[int]]:
    """Return what gives the ports that `choose` does, without those that other tests may hold: for a server in a test's
    process that takes any port."""
    return lambda allowed: (port for port in choose(allowed) if port not in RESERVED or port in _held)


def _take() -> int:
    begin = random.randrange(len(RESERVED))
    for number in chain(RESERVED[begin:], RESERVED[:begin]):
        if number in _held:
            continue
        try:
            fcntl.lockf(_LOCKS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            continue  # another process's
        if _is_free(number):
            _held.add(number)
            return number
        fcntl.lockf(_LOCKS, fcntl.LOCK_UN, 1, number)
    raise AssertionError(f"all ports from {RESERVED[0]} to {RESERVED[-1]} are taken")


def _give_back(number: int) -> None:
    with _one_at_a_time:
        _held.discard(number)
        fcntl.lockf(_LOCKS, fcntl.LOCK_UN, 1, number)


def _is_free(number: int) -> bool:
    """Whether no program that knows nothing of the locks has it."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", number))
            except OSError:
                return False
    return True
