"""Listening on a unix socket, whoever takes the connections."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from gotunnel.net.descriptors import Descriptors
from gotunnel.net.unixlisten import UnixListener
from tests.relay_link import until


class ListenerTests(TestCase):
    """UnixListener."""

    async def test_bug_at_an_arrival(self) -> None:
        """A bug of whoever takes a connection is logged and closes that one; the next one is taken."""
        await deferLater(reactor, 0)  # type: ignore[arg-type]
        bugs, taken = [ZeroDivisionError()], []

        def on_socket(sock: socket.socket) -> None:
            if bugs:
                raise bugs.pop()
            taken.append(sock)

        path = os.path.relpath(self.mktemp())
        clock: Any = reactor
        listener = UnixListener(clock, path, 0o600, on_socket, Descriptors(clock).visitors)
        self.addCleanup(listener.stopListening)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for each in (first, second):
                each.settimeout(5)
                each.connect(path)
            self.assertEqual(await deferToThread(first.recv, 1), b"")
            await until(lambda: taken, "the next one is taken")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            taken[0].close()
        self.assertTrue(os.path.exists(path))
