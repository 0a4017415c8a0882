"""Tests of gotunnel.net.udp and gotunnel.net.targetflow, with real sockets."""

from __future__ import annotations

import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from gotunnel.address import HostPort
from gotunnel.core.dropped import Drop
from gotunnel.errors import DialFailed, PortUnavailable
from gotunnel.net import udp
from gotunnel.net.lastanswer import LastAnswers
from gotunnel.net.relay import PortableRelay
from gotunnel.net.targetflow import GRACE, dial_flow
from gotunnel.net.targetsocket import TargetSocket
from gotunnel.net.udp import BoundSocket, can_carry
from tests.ports import free_port
from tests.relay_link import NoNames, until

HOST = "127.0.0.1"


class BoundSocketTests(TestCase):
    """A public socket."""

    timeout = 30

    def setUp(self) -> None:
        self.got: list[tuple[bytes, Any, Any]] = []
        self.lost = 0

    def bound(self, host: str = HOST, port: int = 0) -> BoundSocket:
        """Return one that is closed when the test ends."""
        found = BoundSocket(reactor, host, port, lambda *said: self.got.append(said), self.count)
        self.addCleanup(found.close)
        return found

    def count(self, lost: int) -> None:
        """Hear of what the kernel dropped."""
        self.lost += lost

    def sender(self) -> socket.socket:
        """Return a socket that sends."""
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(found.close)
        return found

    @skipUnless(sys.platform.startswith("linux"), "only Linux says how many it dropped")
    async def test_kernel_drops(self) -> None:
        """What the kernel had no room for is told with the next datagram that it had room for: none is lost without
        being counted."""
        bound, sender = self.bound(), self.sender()
        bound._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # type: ignore[union-attr]
        for _ in range(50):
            sender.sendto(b"x" * 1000, (HOST, bound.address.port))
        await until(lambda: self.got, "some came")
        sender.sendto(b"last", (HOST, bound.address.port))
        await until(lambda: self.got[-1][0] == b"last", "the last one")
        self.assertGreater(self.lost, 0)
        self.assertEqual(len(self.got) + self.lost, 51)

    async def test_tells_nothing(self) -> None:
        """On a platform that tells nothing of where a datagram came to, the system chooses whence the answer comes."""
        self.patch(udp, "_TELLS", False)
        bound, sender = self.bound("0.0.0.0"), self.sender()
        sender.sendto(b"question", (HOST, bound.address.port))
        await until(lambda: self.got, "it comes")
        datagram, source, here = self.got[0]
        self.assertEqual((datagram, here, bound.came_to(here)), (b"question", None, str(bound.address)))
        bound.send(b"answer", source, here)
        sender.settimeout(10)
        self.assertEqual(sender.recv(100), b"answer")

    async def test_taken(self) -> None:
        """Two cannot have one port, and the second hears so in the words of the wire; closed, it is free at once. One
        that is closed sends nothing and does not mind to be closed again."""
        first = self.bound()
        taken = self.assertRaises(PortUnavailable, self.bound, HOST, first.address.port)
        self.assertEqual(taken.code, "port_in_use")
        first.close()
        first.close()
        first.send(b"into nothing", (HOST, 9), None)
        self.assertEqual(self.bound(HOST, first.address.port).address, first.address)
        self.assertEqual(self.assertRaises(PortUnavailable, self.bound, "192.0.2.1").code, "bad_request")

    async def test_a_bug_in_one_flow(self) -> None:
        """What one datagram breaks is logged, and the next one is served; so it is when the reactor takes an error of
        the kernel for the end of the socket."""
        bound, sender = self.bound(), self.sender()
        arrived = bound._arrived
        bound._arrived = lambda *said: 1 / 0  # type: ignore[assignment, return-value]
        sender.sendto(b"broken", (HOST, bound.address.port))
        await until(lambda: self.flushLoggedErrors(ZeroDivisionError), "it is logged")
        bound._arrived = arrived
        sender.sendto(b"served", (HOST, bound.address.port))
        await until(lambda: self.got, "the next one")
        self.assertEqual(self.got[0][0], b"served")
        bound.connectionLost(Failure(ConnectionLost()))  # without an error of the kernel: the reactor is stopped
        self.assertEqual(bound.fileno(), -1)


class TargetTests(TestCase):
    """The target of a flow."""

    timeout = 30

    def setUp(self) -> None:
        self.dropped: list[Drop] = []

    def target(self) -> socket.socket:
        """Return a service's socket."""
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind((HOST, free_port(self)))
        self.addCleanup(found.close)
        return found

    def dial(self, relay: Any, target: HostPort) -> Any:
        """Begin a flow."""
        return dial_flow(reactor, relay, target, 1.0, 60.0, self.dropped.append, LastAnswers(reactor))

    async def test_refused(self) -> None:
        """A refusal is heard by who only waits, and by who sends next; the socket itself is none the worse."""
        gone = self.target()
        port = gone.getsockname()[1]
        gone.close()
        heard: list[Any] = []
        sock = TargetSocket(reactor, HOST, port, heard.append, lambda: heard.append("refused"))
        self.addCleanup(sock.close)
        sock.send(b"anybody?")
        await until(lambda: heard == ["refused"], "it is refused")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
            service.bind((HOST, port))
            sock.send(b"now?")
            service.settimeout(10)
            datagram, source = service.recvfrom(100)
            service.sendto(datagram, source)
            await until(lambda: heard[1:] == [b"now?"], "the answer")

    async def test_nothing_to_say(self) -> None:
        """An error that the reactor has heard of is nothing any more when who sent in between was told, or when it was
        that of a closed socket with the same number: the socket goes on hearing."""
        target = self.target()
        heard: list[Any] = []
        sock = TargetSocket(reactor, *target.getsockname(), heard.append, lambda: heard.append("refused"))
        self.addCleanup(sock.close)
        reactor.removeReader(sock)  # type: ignore[attr-defined]
        sock.connectionLost(Failure(ConnectionDone()))
        sock.send(b"question")
        target.settimeout(10)
        _, source = target.recvfrom(100)
        target.sendto(b"answer", source)
        await until(lambda: heard == [b"answer"], "the answer")

    async def test_itself(self) -> None:
        """The port that the system chooses for it is not that of the target, where nobody listens: it would hear
        itself."""
        port = free_port(self)
        connect = socket.socket.connect
        made: list[socket.socket] = []

        def connect_from_it(sock: socket.socket, place: Any) -> None:
            if not made:
                sock.bind(place)
            made.append(sock)
            connect(sock, place)

        self.patch(socket.socket, "connect", connect_from_it)
        heard: list[Any] = []
        sock = TargetSocket(reactor, HOST, port, heard.append, lambda: heard.append("refused"))
        self.addCleanup(sock.close)
        self.assertEqual(len(made), 2)
        sock.send(b"hello")
        await until(lambda: heard, "somebody says something")
        self.assertEqual(heard, ["refused"])

    async def test_unreachable(self) -> None:
        """A target without a way to it, and one whose name does not resolve, are refused as those of TCP are."""
        relay = PortableRelay(reactor)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("2001:db8::1", 53))
            except OSError:
                nowhere = HostPort("2001:db8::1", 53)
                refused = self.assertRaises(DialFailed, self.dial, relay, nowhere)
                self.assertEqual(refused.code, "unreachable")
        clock: Any = reactor
        before = clock.installNameResolver(NoNames(silent=False))
        try:
            dialling: Any = self.dial(relay, HostPort("no.test", 53))
            refused = await self.assertFailure(dialling, DialFailed)
        finally:
            clock.installNameResolver(before)
        self.assertEqual(refused.code, "unknown_host")

    async def test_flow(self) -> None:
        """A flow of a target knows where it leads and from where; what the system does not take is dropped, and it
        waits a little longer than it was told before it ends by itself."""
        relay, target = PortableRelay(reactor), self.target()
        flow: Any = self.dial(relay, HostPort(HOST, target.getsockname()[1]))
        self.addCleanup(flow.abort)
        self.assertEqual((flow.host, flow.address), (HOST, "{}:{}".format(*target.getsockname())))
        self.assertTrue(flow.destination().startswith(f"{HOST}:"))
        self.assertEqual(flow._idle, 60.0 + GRACE)
        flow._outlet.send(b"x" * 70_000)
        self.assertEqual(self.dropped, [Drop.UNSENT])
        flow._take(b"whole", True)
        target.settimeout(10)
        self.assertEqual(target.recv(100), b"whole")

    async def test_cannot_carry(self) -> None:
        """A relay that knows no flows, and a reactor that waits for no descriptors, carry none, and say so."""
        self.assertTrue(can_carry(PortableRelay(reactor), reactor))
        self.assertFalse(can_carry(object(), reactor))
        self.assertFalse(can_carry(PortableRelay(reactor), Clock()))
        refused = self.assertRaises(DialFailed, self.dial, object(), HostPort(HOST, 53))
        self.assertIn("this relay carries no datagrams", refused.reason)
