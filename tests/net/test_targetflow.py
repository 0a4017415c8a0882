"""Tests of gotunnel.net.targetflow and gotunnel.net.lastanswer: a target of datagrams with several addresses."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.core.dropped import Drop
from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.errors import DialFailed
from gotunnel.net import targetflow
from gotunnel.net.flow import MOST_WAITING, MOST_WAITING_BYTES
from gotunnel.net.lastanswer import KNOWN, LastAnswers
from gotunnel.net.relay import PortableRelay
from gotunnel.net.targetflow import AGAIN, PATIENCE, dial_flow
from tests.ports import free_port
from tests.relay_link import until

FIRST, SECOND, THIRD = HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


@implementer(IReactorFDSet)
class Slow:
    """The reactor, but that its time stands still, and that every name has these addresses."""

    def __init__(self) -> None:
        real: Any = reactor
        self.clock = Clock()
        self.hosts: tuple[str, ...] = (FIRST, SECOND)
        self.seconds, self.callLater = self.clock.seconds, self.clock.callLater
        for name in ("addReader", "removeReader", "addWriter", "removeWriter", "removeAll", "getReaders", "getWriters"):
            setattr(self, name, getattr(real, name))

    @property
    def nameResolver(self) -> Slow:
        """What looks names up."""
        return self

    def resolveHostName(self, receiver: Any, host: str, port: int) -> Any:
        """Called by the look-up."""
        for each in self.hosts:
            receiver.addressResolved(IPv4Address("UDP", each, port))
        receiver.resolutionComplete()
        return self


class FlowCase(TestCase):
    """Flows of one target."""

    timeout = 30

    def setUp(self) -> None:
        self.slow = Slow()
        self.answers = LastAnswers(self.slow)
        self.target = HostPort("service.test", free_port(self))
        self.dropped: list[Drop] = []

    def dial(self) -> Any:
        """Look the name up and begin one, at once."""
        relay = PortableRelay(reactor)
        return dial_flow(self.slow, relay, self.target, 1.0, 60.0, self.dropped.append, self.answers)

    def flow(self) -> Any:
        """Return one that has begun."""
        flow = self.successResultOf(self.dial())
        self.addCleanup(flow.abort)
        return flow


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


class Played:
    """Sockets to targets that do as they are told."""

    def __init__(self) -> None:
        self.made: list[Played.Socket] = []
        self.nowhere: set[str] = set()
        self.refuses: dict[str, int] = {}
        """How many datagrams each takes before it refuses."""

    def __call__(self, _: Any, host: str, port: int, arrived: Callable[[bytes], None], refused: Any) -> Any:
        if host in self.nowhere:
            raise DialFailed("unreachable", "no way")
        self.made.append(found := self.Socket(host, arrived, refused, self.refuses.get(host)))
        return found

    class Socket:
        """One of them."""

        here = "192.0.2.1:1"

        def __init__(self, host: str, arrived: Callable[[bytes], None], refused: Any, most: int | None) -> None:
            self.host = host
            self.arrived = arrived
            self.refused = refused
            self.most = most
            self.sent: list[bytes] = []
            self.fails: OSError | None = None
            self.closed = False

        def send(self, datagram: bytes) -> None:
            """Keep it."""
            if self.fails is not None:
                raise self.fails
            if len(self.sent) == self.most:
                raise ConnectionRefusedError
            self.sent.append(datagram)

        def close(self) -> None:
            """Nothing more."""
            self.closed = True


class PlayedTests(FlowCase):
    """With sockets that refuse late, as those to other machines do."""

    def setUp(self) -> None:
        super().setUp()
        self.played = Played()
        self.patch(targetflow, "TargetSocket", self.played)

    def sent(self) -> list[tuple[str, list[bytes]]]:
        """What was sent to whom."""
        return [(each.host, each.sent) for each in self.played.made]

    def test_all_of_them(self) -> None:
        """What was sent until the refusal came is sent to the next address, as far as it is little."""
        flow = self.flow()
        many = [bytes([number]) for number in range(MOST_WAITING + 1)]
        for datagram in many:
            flow._take(datagram, True)
        self.played.made[0].refused()
        self.assertEqual(self.sent(), [(FIRST, many), (SECOND, many[:MOST_WAITING])])
        self.assertEqual([each.closed for each in self.played.made], [True, False])
        big = self.flow()
        big._take(b"x" * MOST_WAITING_BYTES, True)
        big._take(b"y", True)
        self.played.made[-1].refused()
        self.assertEqual(self.sent()[-1], (SECOND, [b"x" * MOST_WAITING_BYTES]))

    def test_refused_meanwhile(self) -> None:
        """Where the next one refuses, too, while it is sent that, all of it goes on to the one behind."""
        self.slow.hosts = HOSTS
        self.played.refuses = {SECOND: 1}
        flow = self.flow()
        flow._take(b"one", True)
        flow._take(b"two", True)
        self.played.made[0].refused()
        self.assertEqual(self.sent(), [(FIRST, [b"one", b"two"]), (SECOND, [b"one"]), (THIRD, [b"one", b"two"])])
        self.played.refuses[THIRD] = 1
        lost = self.flow()
        lost._take(b"one", True)
        lost._take(b"two", True)
        self.played.made[-1].refused()
        self.assertEqual((lost.gone, lost.why), (True, PORT_UNREACHABLE))

    def test_in_time(self) -> None:
        """A refusal that comes late is that of a service which was there: the flow ends, and keeps nothing meanwhile.
        So it is with the next address."""
        self.slow.hosts = HOSTS
        flow = self.flow()
        flow._take(b"one", True)
        self.slow.clock.advance(PATIENCE / 2)
        self.played.made[0].refused()
        flow._take(b"two", True)
        self.slow.clock.advance(PATIENCE - 0.1)
        self.assertEqual(flow._outlet._kept, [b"one", b"two"])
        self.slow.clock.advance(0.1)
        flow._take(b"three", True)
        self.assertEqual((flow._outlet._kept, self.slow.clock.getDelayedCalls()), ([], []))
        self.played.made[1].refused()
        self.assertEqual((flow.gone, flow.why), (True, PORT_UNREACHABLE))
        self.assertEqual(self.sent(), [(FIRST, [b"one"]), (SECOND, [b"one", b"two", b"three"])])

    def test_no_way(self) -> None:
        """An address to which there is no way is passed over; it has refused nothing."""
        self.slow.hosts = HOSTS
        self.played.nowhere = {FIRST}
        flow = self.flow()
        flow._take(b"one", True)
        self.played.made[0].arrived(b"answer")
        self.assertEqual((self.flow().host, self.sent()), (SECOND, [(SECOND, [b"one"]), (SECOND, [])]))
        self.assertEqual(self.answers._known, {})
        self.played.nowhere = {THIRD}
        lost = self.flow()
        lost._take(b"one", True)
        self.played.made[-1].refused()
        self.played.made[-1].refused()
        self.assertEqual((lost.why, self.played.made[-1].host), (PORT_UNREACHABLE, SECOND))
        self.played.nowhere = set(HOSTS)
        self.failureResultOf(self.dial(), DialFailed)

    def test_no_way_back(self) -> None:
        """Where a flow that tries all anew finds no way to any, it is refused."""
        flow = self.flow()
        flow._take(b"one", True)
        self.played.made[0].refused()
        self.slow.clock.advance(AGAIN)
        self.played.nowhere = set(HOSTS)
        self.assertRaises(ConnectionRefusedError, flow._take, b"two", True)
        self.assertEqual(flow.why, PORT_UNREACHABLE)

    def test_unsent(self) -> None:
        """What the system does not take is not kept for another address, and is dropped there, too."""
        flow = self.flow()
        flow._take(b"one", True)
        first = self.played.made[0]
        first.fails = OSError(errno.EMSGSIZE, "too long")
        flow._take(b"two", True)
        self.assertEqual((flow._outlet._kept, self.dropped), ([b"one"], [Drop.UNSENT]))
        self.patch(Played.Socket, "send", lambda sock, datagram: (_ for _ in ()).throw(first.fails))
        first.refused()
        self.assertEqual((flow.gone, self.dropped), (False, [Drop.UNSENT] * 2))

    def test_one_address(self) -> None:
        """Of a target with one address, though it is named twice, nothing is kept: there is nobody to send it to."""
        self.slow.hosts = (FIRST, FIRST)
        flow = self.flow()
        flow._take(b"one", True)
        self.assertEqual((flow._outlet._kept, self.slow.clock.getDelayedCalls()), ([], []))
        self.played.made[0].refused()
        self.assertEqual((flow.why, len(self.played.made)), (PORT_UNREACHABLE, 1))

    def test_closed(self) -> None:
        """A flow that ends while it is yet to be seen who answers leaves nothing."""
        flow = self.flow()
        flow._take(b"one", True)
        flow.abort()
        self.assertEqual((self.slow.clock.getDelayedCalls(), self.played.made[0].closed), ([], True))


class LastAnswerTests(SynchronousTestCase):
    """What is remembered."""

    def test_order(self) -> None:
        """An address that has answered comes first, the others as they were; not for longer than it is known for, even
        if it goes on answering, not where the name does not have it any more, and not when it has refused."""
        clock, target = Clock(), HostPort("service.test", 53)
        answers = LastAnswers(clock)
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
        answers.answered(target, SECOND)
        self.assertEqual(answers.ordered(target, HOSTS), [SECOND, FIRST, THIRD])
        self.assertEqual(answers.ordered(HostPort("other.test", 53), HOSTS), [*HOSTS])
        answers.forget(target, FIRST)
        clock.advance(KNOWN - 0.1)
        answers.answered(target, SECOND)
        self.assertEqual(answers.ordered(target, HOSTS), [SECOND, FIRST, THIRD])
        clock.advance(0.1)
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
        answers.answered(target, SECOND)
        answers.forget(target, SECOND)
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
        answers.answered(target, THIRD)
        self.assertEqual(answers.ordered(target, (FIRST, SECOND)), [FIRST, SECOND])
        self.assertEqual(answers.ordered(target, HOSTS), [*HOSTS])
