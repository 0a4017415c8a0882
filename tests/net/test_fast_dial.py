"""What the fast relay sets on the connection to a target."""

from __future__ import annotations

import errno
import socket
import sys
from functools import partial
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.errors import DialFailed
from gotunnel.net.sockets import KEEPALIVE_IDLE
from tests.ports import free_port
from tests.relay_link import until


@skipUnless(sys.platform.startswith("linux"), "the fast relay needs Linux")
class KeepaliveTests(TestCase):
    """A target on another machine can vanish without a word; one on this machine cannot."""

    async def options(self) -> tuple[bool, int]:
        """Dial a target; return whether its connection is probed, and after how many seconds."""
        from gotunnel.net.fast.relay import FastRelay

        relay = FastRelay(reactor)
        self.addCleanup(relay.stop)
        with socket.create_server(("127.0.0.1", 0)) as server:
            local: Any = await maybeDeferred(relay.dial, HostPort(*server.getsockname()), 5)
            found = (
                bool(local.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)),
                local.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            )
            local.abort()
            await until(lambda: local.gone, "it is gone")
        return found

    async def test_far_target(self) -> None:
        """One that does not answer within the call of connect is probed like a leg."""
        from gotunnel.net.fast import relay

        begin = relay.begin
        self.patch(relay, "begin", lambda *more: (begin(*more)[0], errno.EINPROGRESS))
        self.assertEqual(await self.options(), (True, KEEPALIVE_IDLE))

    async def test_near_target(self) -> None:
        """The other one costs no such call."""
        self.assertFalse((await self.options())[0])


def _from(port: int, *kind: int) -> socket.SocketType:
    """Make a socket that connects from `port`, as the system sometimes chooses."""
    sock = socket.SocketType(*kind)
    sock.bind(("127.0.0.1", port))
    return sock


@skipUnless(sys.platform.startswith("linux"), "the fast relay needs Linux")
class ItselfTests(TestCase):
    """A dial of a port where nobody listens that the system makes from that very port: TCP connects it to itself."""

    async def dial(self) -> str:
        """Dial it; return why it fails."""
        from gotunnel.net.fast.relay import FastRelay

        relay = FastRelay(reactor)
        self.addCleanup(relay.stop)
        try:
            await maybeDeferred(relay.dial, HostPort("127.0.0.1", self.port), 5)
        except DialFailed as failed:
            return failed.code
        return ""

    def setUp(self) -> None:
        self.port = free_port(self)

    async def test_at_once(self) -> None:
        """Nobody is there."""
        from gotunnel.net.fast import dial

        self.patch(dial, "SocketType", partial(_from, self.port))
        self.assertEqual(await self.dial(), "refused")

    async def test_later(self) -> None:
        """The same where the answer is waited for."""
        from gotunnel.net.fast import relay

        sock = _from(self.port, socket.AF_INET, socket.SOCK_STREAM)
        sock.connect(("127.0.0.1", self.port))
        sock.setblocking(False)
        self.patch(relay, "begin", lambda *more: (sock, errno.EINPROGRESS))
        self.assertEqual(await self.dial(), "refused")


@implementer(IHostnameResolver)
class Resolver:
    """Finds one address, when it is told to."""

    receiver: Any

    def resolveHostName(self, resolutionReceiver: Any, hostName: str, *args: Any, **more: Any) -> Any:
        """See IHostnameResolver."""
        self.receiver = resolutionReceiver
        return resolutionReceiver

    def answer(self) -> None:
        """Answer what was asked."""
        self.receiver.addressResolved(IPv4Address("TCP", "192.0.2.7", 0))
        self.receiver.resolutionComplete()


@skipUnless(sys.platform.startswith("linux"), "the fast relay needs Linux")
class NameTests(SynchronousTestCase):
    """A target that is a name."""

    def test_one_limit(self) -> None:
        """The time limit is for the lookup and the connect together: the other end does not wait for longer."""
        from gotunnel.net.fast import relay

        clock, resolver = MemoryReactorClock(), Resolver()
        clock.installNameResolver(resolver)
        sock = socket.socket()
        self.addCleanup(sock.close)
        self.patch(relay, "begin", lambda *more: (sock, errno.EINPROGRESS))
        dialled: Any = relay.FastRelay(clock).dial(HostPort("slow.example.com", 443), 10)
        clock.advance(7)
        resolver.answer()
        clock.advance(2.5)
        self.assertNoResult(dialled)
        clock.advance(0.5)
        self.assertEqual(self.failureResultOf(dialled, DialFailed).value.code, "timeout")
        self.assertEqual(sock.fileno(), -1)
        self.assertEqual(clock.getDelayedCalls(), [])
