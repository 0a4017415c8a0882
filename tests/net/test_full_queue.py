"""A unix target whose queue is full, with each relay: it lives, and takes who waits a moment later."""

from __future__ import annotations

import shutil
import socket
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.error import NoProtocol, TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, TestCase

from gotunnel.address import UnixPath
from gotunnel.errors import DialFailed
from gotunnel.net.choice import RelayUnfit, choose_relay
from gotunnel.net.unixendpoint import UnixEndpoint


class Full(TestCase):
    """A test with `self.server`, which has accepted nobody, and nobody else can come to."""

    def setUp(self) -> None:
        self.server = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.server.close)
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = f"{folder}/target"
        self.server.bind(self.path)
        self.server.listen(0)
        self.first = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.first.close)
        self.first.connect(self.path)


class PortableTests(Full):
    """The portable relay."""

    relay_name = "portable"

    def setUp(self) -> None:
        try:
            self.relay = choose_relay(self.relay_name, reactor)
        except RelayUnfit as unfit:
            raise SkipTest(str(unfit)) from None
        self.addCleanup(self.relay.stop)
        super().setUp()

    async def test_room(self) -> None:
        """He gets in when there is room, also after he was told that there is none."""
        dialled = maybeDeferred(self.relay.dial, UnixPath(self.path), 5)
        self.assertNoResult(dialled)
        reactor.callLater(0.03, lambda: self.server.accept()[0].close())  # type: ignore[attr-defined]
        local: Any = await dialled
        accepted, _ = self.server.accept()
        local.abort()
        accepted.close()

    async def test_no_room(self) -> None:
        """He waits no longer than for any other target, or than he wants, or than it lives."""
        with self.assertRaises(DialFailed) as failed:
            await maybeDeferred(self.relay.dial, UnixPath(self.path), 0.1)
        self.assertEqual(failed.exception.code, "timeout")
        dialled = maybeDeferred(self.relay.dial, UnixPath(self.path), 5)
        dialled.cancel()
        self.failureResultOf(dialled, CancelledError)
        dialled = maybeDeferred(self.relay.dial, UnixPath(self.path), 5)
        self.server.close()
        with self.assertRaises(DialFailed) as failed:
            await dialled
        self.assertEqual(failed.exception.code, "refused")


class FastTests(PortableTests):
    """The fast one."""

    relay_name = "fast"


class NativeTests(PortableTests):
    """The native one."""

    relay_name = "native"


class EndpointTests(Full):
    """What the portable relay, health checks and the doctor connect with."""

    def test_times(self) -> None:
        """It does not turn in a circle: it asks now and then, and a last time when its own time is over."""
        clock, times = Clock(), []
        connecting = UnixEndpoint(clock, self.path, 0.05).connect(Factory.forProtocol(Protocol))
        while not connecting.called:
            (again,) = clock.getDelayedCalls()
            times.append(again.getTime())
            clock.advance(again.getTime() - clock.seconds())
        self.failureResultOf(connecting, TimeoutError)
        self.assertEqual((times, clock.getDelayedCalls()), ([0.02, 0.04, 0.05], []))

    def test_no_protocol(self) -> None:
        """A factory that makes none, or fails, is told of; the connection closes."""
        self.server.accept()[0].close()
        for build, error in ((lambda addr: None, NoProtocol), (lambda addr: 1 // 0, ZeroDivisionError)):
            factory = Factory()
            factory.buildProtocol = build  # type: ignore[method-assign,assignment]
            self.failureResultOf(UnixEndpoint(reactor, self.path, 5).connect(factory), error)
            with self.server.accept()[0] as accepted:
                self.assertEqual(accepted.recv(1), b"")
