"""Tests of gotunnel.net.targetflow: a target of datagrams with several addresses, with real sockets."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from typing import Any
from unittest import skipUnless

from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.net.targetway import AGAIN
from tests.relay_link import until

from .targetflows import FIRST, HOSTS, SECOND, THIRD, FlowCase


@skipUnless(sys.platform.startswith("linux"), "only Linux has all of 127.0.0.0/8")
class RealTests(FlowCase):
    """With sockets."""

    def service(self, host: str) -> socket.socket:
        """Listen at one of the addresses."""
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind((host, self.target.port))
        found.settimeout(10)
        self.addCleanup(found.close)
        return found

    def heard(self, service: socket.socket, *wanted: bytes) -> None:
        """It has just these datagrams."""
        got = [service.recv(100) for _ in wanted]
        service.setblocking(False)
        self.assertRaises(BlockingIOError, service.recv, 100)
        service.settimeout(10)
        self.assertEqual(tuple(got), wanted)

    async def answers_to(self, flow: Any, service: socket.socket, datagram: bytes = b"question") -> None:
        """The flow reaches a service that answers."""
        flow._take(datagram, True)
        await until(lambda: flow.host == service.getsockname()[0], "it has come to this address")
        got, source = service.recvfrom(100)
        self.assertEqual((got, flow.destination()), (datagram, "{}:{}".format(*source)))
        service.sendto(b"answer", source)
        await until(lambda: list(flow._queue) == [b"answer"], "the answer")
        flow._queue.clear()

    async def test_next_address(self) -> None:
        """Where nobody listens at the first address, the datagram that was refused goes to the next one, once, and the
        flow stays there."""
        service, flow = self.service(SECOND), self.flow()
        self.assertEqual(flow.host, FIRST)
        await self.answers_to(flow, service)
        here = flow.destination()
        self.slow.clock.advance(AGAIN)
        flow._take(b"more", True)
        self.heard(service, b"more")
        self.assertEqual((flow.destination(), flow.gone, self.dropped), (here, False, []))
        self.assertEqual(self.slow.clock.getDelayedCalls(), [])

    async def test_burst(self) -> None:
        """So do those that come at once, in their order, though the first two addresses refuse."""
        self.slow.hosts = HOSTS
        service, flow = self.service(THIRD), self.flow()
        for datagram in (b"one", b"two", b"three"):
            flow._take(datagram, True)
        self.heard(service, b"one", b"two", b"three")
        self.assertEqual((flow.host, flow.gone), (THIRD, False))

    async def test_nobody(self) -> None:
        """Where nobody listens at any of them the flow is refused, whether it sends once or goes on."""
        one, other = self.flow(), self.flow()
        one._take(b"one", True)
        await until(lambda: one.gone, "it is refused")
        while not other.gone:
            try:
                other._take(b"other", True)
            except OSError:
                other.lost()
        self.assertEqual((one.why, other.why), (PORT_UNREACHABLE, PORT_UNREACHABLE))
        self.slow.clock.advance(0)
        self.assertEqual((self.dropped, self.slow.clock.getDelayedCalls()), ([], []))

    async def test_has_answered(self) -> None:
        """A service that has answered and is gone then has no successor in this flow: what it was sent is not sent to
        another one."""
        service, second, flow = self.service(FIRST), self.service(SECOND), self.flow()
        await self.answers_to(flow, service)
        service.close()
        flow._take(b"late", True)
        await until(lambda: flow.gone, "it is refused")
        self.assertEqual(flow.why, PORT_UNREACHABLE)
        self.heard(second)

    async def test_remembered(self) -> None:
        """The next flows begin where one was answered that another address had refused, for a while; when nobody
        listens there any more, the others are tried, and it is forgotten."""
        service = self.service(SECOND)
        await self.answers_to(self.flow(), service)
        flow = self.flow()
        self.assertEqual(flow.host, SECOND)
        service.close()
        first = self.service(FIRST)
        flow._take(b"moved", True)
        await until(lambda: flow.host == FIRST, "nobody listens there")
        self.assertEqual(self.flow().host, FIRST)
        self.heard(first, b"moved")
        await self.answers_to(flow, first)
        self.assertEqual(self.flow().host, FIRST)

    async def test_back(self) -> None:
        """An address that says nothing, and that a flow has come to by a refusal, is not the last word: the service may
        be back where it was."""
        self.service(SECOND)
        flow = self.flow()
        flow._take(b"nobody", True)
        await until(lambda: flow.host == SECOND, "nobody listens at the first")
        first = self.service(FIRST)
        self.slow.clock.advance(AGAIN - 0.1)
        flow._take(b"still there", True)
        self.assertEqual(flow.host, SECOND)
        self.slow.clock.advance(0.1)
        await self.answers_to(flow, first)

    async def test_back_from_memory(self) -> None:
        """Nor is one that a flow has begun with because it had answered another one."""
        second = self.service(SECOND)
        await self.answers_to(self.flow(), second)
        flow = self.flow()
        self.assertEqual(flow.host, SECOND)
        first = self.service(FIRST)
        self.slow.clock.advance(AGAIN)
        await self.answers_to(flow, first)
        self.assertEqual(self.flow().host, FIRST)

    async def test_one_port(self) -> None:
        """A service that never answers, at another address than the first, has everything once, in its order and from
        one port, however long that goes on."""
        service, flow = self.service(SECOND), self.flow()
        wanted = [b"%d" % number for number in range(12)]
        for turn in range(0, len(wanted), 3):
            for datagram in wanted[turn : turn + 3]:
                flow._take(datagram, True)
            await until(lambda: flow.host == SECOND, "it is back")
            self.slow.clock.advance(AGAIN)
        got = [service.recvfrom(100) for _ in wanted]
        self.assertEqual([datagram for datagram, _ in got], wanted)
        self.assertEqual(len({source for _, source in got}), 1)
        service.setblocking(False)
        self.assertRaises(BlockingIOError, service.recv, 100)

    async def test_disconnected(self) -> None:
        """A socket that was taken away by who administers the machine (`ss --kill`) is replaced."""
        service = self.service(FIRST)
        self.slow.hosts = (FIRST,)
        flow = self.flow()
        self.slow.clock.advance(1)
        anybody = struct.pack("=H14x", socket.AF_UNSPEC)
        ctypes.CDLL(None).connect(flow._outlet._way._socket.fileno(), anybody, len(anybody))
        flow._take(b"still there", True)
        self.heard(service, b"still there")
        self.assertEqual(self.dropped, [])
