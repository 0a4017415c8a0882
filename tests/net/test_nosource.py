"""What is said of a target that cannot be dialled as this machine has nothing left to dial it from."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor, tcp
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from gotunnel.address import HostPort
from gotunnel.errors import DialFailed
from gotunnel.net.reasons import NO_SOURCE
from gotunnel.net.relay import PortableRelay
from gotunnel.net.targetsocket import TargetSocket

HOST = "127.0.0.1"


@skipUnless(sys.platform.startswith("linux"), "other systems have another number for it")
class PortTests(TestCase):
    """A port that is chosen for a connection has one to that target already: the system says what it says when that is
    so of all."""

    def setUp(self) -> None:
        server = socket.create_server((HOST, 0))
        self.addCleanup(server.close)
        self.target = HostPort(*server.getsockname())
        self.taken = 0
        first = self.bound(socket.AF_INET, socket.SOCK_STREAM)
        self.taken = first.getsockname()[1]
        first.connect((HOST, self.target.port))
        self.addCleanup(first.close)

    def bound(self, *kind: int) -> Any:
        """Make a socket that connects from that port."""
        sock = socket.SocketType(*kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, self.taken))
        return sock

    async def said(self, relay: Any) -> None:
        """It is told in words, and in the code that it always had."""
        dialling: Any = maybeDeferred(relay.dial, self.target, 5)
        failed = await self.assertFailure(dialling, DialFailed)
        self.assertEqual((failed.code, str(failed)), ("failed", f"{self.target}: {NO_SOURCE}"))

    async def test_fast(self) -> None:
        """The fast relay, compiled or not, dials in one way."""
        from gotunnel.net.fast import dial
        from gotunnel.net.fast.relay import FastRelay

        relay = FastRelay(reactor)
        self.addCleanup(relay.stop)
        self.patch(dial, "SocketType", self.bound)
        await self.said(relay)

    async def test_portable(self) -> None:
        """The portable one has what Twisted makes of it."""
        def made(client: Any) -> Any:
            sock = socket.socket(fileno=self.bound(socket.AF_INET, socket.SOCK_STREAM).detach())
            sock.setblocking(False)
            return sock

        self.patch(tcp.Client, "createInternetSocket", made)
        await self.said(PortableRelay(reactor))


class DatagramTests(SynchronousTestCase):
    """A flow needs a port of its own, or an address."""

    def test_words(self) -> None:
        """What the system says of that is said as it is of connections; what else it says stays as it is."""
        for number, code, words in (
            (errno.EAGAIN, "unreachable", NO_SOURCE), (errno.EADDRNOTAVAIL, "unreachable", NO_SOURCE),
            (errno.ENETUNREACH, "unreachable", os.strerror(errno.ENETUNREACH)),
            (errno.EMFILE, "no_fds", "out of file descriptors"), (errno.ENFILE, "no_fds", "out of file descriptors"),
        ):  # fmt: skip
            def connect(sock: socket.socket, place: Any, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            self.patch(socket.socket, "connect", connect)
            failed = self.assertRaises(DialFailed, TargetSocket, reactor, HOST, 53, print, print)
            self.assertEqual((failed.code, str(failed)), (code, f"{HOST}:53: {words}"))
