"""The fast relay's public port when there is no descriptor for one more visitor."""

from __future__ import annotations

import errno
import math
import socket
import sys
from functools import partial
from typing import Any, cast
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net.descriptors import PAUSE, Descriptors

LINUX = sys.platform.startswith("linux")
if LINUX:
    from gotunnel.net.fast import listener as listener_module
    from gotunnel.net.fast.listener import ACCEPTS_AT_ONCE, Listener, welcome
    from gotunnel.net.fast.poller import IN, Handler


class Poller:
    """Remembers what a listener is told of."""

    tells_errors = True
    handler: Handler

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        self.mask, self.handler = mask, handler

    def set(self, fd: int, mask: int) -> None:
        self.mask = mask

    def remove(self, fd: int) -> None:
        self.mask = 0


class Local:
    """A visitor as the relay makes one."""

    leg = None
    fd = 100
    gone = False

    def watch_for_loss(self) -> None: ...

    def lost(self) -> None:
        self.gone = True


@skipUnless(LINUX, "the fast relay needs Linux")
class ListenerTests(SynchronousTestCase):
    """What accept(2) says is made up; visitors are real sockets."""

    def setUp(self) -> None:
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.clock, self.poller, self.visitors = Clock(), Poller(), 0
        self.descriptors = Descriptors(self.clock)
        self.left: list[int] = []  # what accept(2) says before it does what it is asked
        self.calls = 0
        gate, accept = self.descriptors.visitors, cast("Any", self.accept)
        self.listener = Listener(
            self.poller, gate, "127.0.0.1", 0, 16, partial(welcome, gate, lambda visitor: None, accept)
        )
        self.addCleanup(self.listener.stopListening)

    def accept(self, listening: socket.socket, family: int) -> Local:
        """Accept a visitor, unless there is something to be said before."""
        self.calls += 1
        if self.left:
            raise OSError(self.left.pop(0), "none")
        listening.accept()[0].close()
        self.visitors += 1
        return Local()

    def come(self, *failures: int) -> int:
        """A visitor comes, to whom accept(2) says no so often; return how often it was called."""
        self.left, self.calls = list(failures), 0
        with socket.create_connection(("127.0.0.1", self.listener.getHost().port)):
            self.poller.handler(IN)
        return self.calls

    def test_out_of_descriptors(self) -> None:
        """Each of the four ways to say it stops the listener after one call, with one line for all of them; it goes on
        afterwards, and who waited in the kernel's queue is served."""
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            served = self.visitors
            self.assertEqual(self.come(number), 1)
            self.assertEqual((self.poller.mask, self.visitors), (0, served))
            self.clock.advance(PAUSE)
            self.assertEqual(self.poller.mask, IN)
            self.poller.handler(IN)
            self.assertEqual(self.visitors, served + 1)
        self.assertEqual(len([event for event in self.log if "out of file descriptors" in str(event)]), 1)

    def test_alone(self) -> None:
        """Who comes alone is accepted by one call; those who come with others, by one more that finds nobody left."""
        self.assertEqual((self.come(), self.visitors), (1, 1))
        self.patch(listener_module, "APART", math.inf)
        self.assertEqual((self.come(), self.visitors), (2, 2))

    def test_left_while_he_waited(self) -> None:
        """One who left before he was accepted does not stop the listener, and those who leave do not keep it busy."""
        self.patch(listener_module, "APART", math.inf)
        self.assertEqual(self.come(errno.ECONNABORTED), 3)  # he, who came, and nobody more
        self.assertEqual((self.poller.mask, self.visitors), (IN, 1))
        self.assertEqual(self.come(*[errno.ECONNABORTED] * 100), ACCEPTS_AT_ONCE)

    def test_bug(self) -> None:
        """What goes wrong at a visitor's arrival ends him."""
        came: list[Any] = []

        def on_visitor(local: Any) -> None:
            came.append(local)
            raise ZeroDivisionError

        gate = self.descriptors.visitors
        with socket.create_connection(("127.0.0.1", self.listener.getHost().port)):
            self.assertRaises(ZeroDivisionError, welcome, gate, on_visitor, cast("Any", self.accept), self.listener, IN)
        self.assertEqual([local.gone for local in came], [True])
