"""Listeners that stop while file descriptors run short. The process's real limit is not touched here."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet import selectreactor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.descriptors import Shares
from gotunnel.net import descriptors as module
from gotunnel.net import sockets
from gotunnel.net.descriptors import LOW, PAUSE, SCARCE, SELECT_LIMIT, Descriptors, raise_limit
from gotunnel.net.port import GatedPort


class Listening:
    """A listener that notes what the gate tells it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def go_on(self) -> None:
        self.told.append("go on")


class DescriptorTestCase(SynchronousTestCase):
    """A process whose limit the test decides."""

    def setUp(self) -> None:
        self.observer = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.clock = Clock()
        self.set_limit(1 << 20)
        self.descriptors = Descriptors(self.clock)
        self.called: list[float] = []
        self.descriptors.on_scarce = lambda: self.called.append(self.clock.seconds())

    def set_limit(self, limit: int) -> None:
        """What the process is told when it asks for its limit."""
        self.patch(module, "nofile", lambda: limit)

    def lines(self) -> list[str]:
        """Return what was logged."""
        return [formatEvent(event) for event in self.observer]


class GateTests(DescriptorTestCase):
    """All listeners stop together and go on together."""

    def test_short(self) -> None:
        """A descriptor of the reserve stops all; they look ten times a second, and go on when one is free."""
        gate, listeners = self.descriptors.visitors, [Listening(), Listening()]
        for listener in listeners:
            gate.add(listener)
        gate.accepted(100)
        self.assertFalse(gate.short)
        self.set_limit(2)
        gate.accepted(1 << 20)
        self.assertTrue(gate.short)
        for _ in range(50):
            self.clock.advance(PAUSE)
        self.assertEqual([listener.told for listener in listeners], [["pause"]] * 2)
        self.set_limit(1 << 20)
        self.clock.advance(PAUSE)
        self.assertEqual([listener.told for listener in listeners], [["pause", "go on"]] * 2)
        self.assertEqual((gate.short, self.clock.getDelayedCalls()), (False, []))
        (line,) = self.lines()
        self.assertIn("out of file descriptors, 2 are allowed: new visitors have to wait", line)

    def test_limit_is_read_anew(self) -> None:
        """A limit that was raised meanwhile is known before anybody stops for the old one."""
        self.set_limit(100)
        descriptors = Descriptors(self.clock)
        listener = Listening()
        descriptors.visitors.add(listener)
        self.set_limit(10_000)
        descriptors.visitors.accepted(500)
        self.assertEqual(listener.told, [])

    def test_clients_may_take_more(self) -> None:
        """Between the two ceilings visitors wait and clients come in."""
        self.set_limit(1000)
        self.descriptors.look()
        self.assertTrue(self.descriptors.visitors.beyond(920))
        self.assertFalse(self.descriptors.clients.beyond(920))
        self.assertTrue(self.descriptors.clients.beyond(960))

    def test_new_listener(self) -> None:
        """One that begins meanwhile waits with the others."""
        gate = self.descriptors.visitors
        gate.add(Listening())
        gate.stop()
        late = Listening()
        gate.add(late)
        self.assertEqual(late.told, ["pause"])

    def test_last_listener(self) -> None:
        """When all are closed nothing is looked for any more, and the next one begins afresh."""
        gate, listener = self.descriptors.visitors, Listening()
        gate.add(listener)
        gate.stop()
        gate.remove(listener)
        self.assertEqual((gate.short, self.clock.getDelayedCalls()), (False, []))
        gate.stop()
        self.assertFalse(gate.short)

    def test_line_is_limited(self) -> None:
        """A process that is short again and again says so once a minute."""
        gate = self.descriptors.visitors
        gate.add(Listening())
        for _ in range(1000):
            gate.stop()
            self.clock.advance(PAUSE)
        self.assertLessEqual(len(self.lines()), 3)
        gate.say()
        self.assertLessEqual(len(self.lines()), 3)

    def test_scarce(self) -> None:
        """Who could let go of something is told when it begins, once; for a while after it they count as scarce."""
        gate = self.descriptors.visitors
        gate.add(Listening())
        self.assertFalse(self.descriptors.scarce)
        for _ in range(3):
            gate.stop()
            self.clock.advance(PAUSE)
        self.assertTrue(self.descriptors.scarce)
        self.assertEqual(self.called, [0.0])
        self.clock.advance(SCARCE)
        self.assertFalse(self.descriptors.scarce)
        gate.stop()
        self.assertEqual(len(self.called), 2)

    def test_room(self) -> None:
        """Whether there is room is found out by opening a descriptor, which is closed again."""
        before = len(os.listdir("/proc/self/fd"))
        self.assertTrue(self.descriptors.visitors.has_room())
        self.set_limit(2)
        self.descriptors.look()
        self.assertFalse(self.descriptors.visitors.has_room())

        def none_left(path: str, flags: int) -> int:
            raise OSError(errno.EMFILE, "too many open files")

        self.set_limit(1 << 20)
        self.patch(os, "open", none_left)
        self.assertFalse(self.descriptors.visitors.has_room())
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class Socket:
    """A listening socket that gives out what it is told to."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def accept(self) -> tuple[Any, tuple[str, int]]:
        if not self.answers:
            raise BlockingIOError
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer, ("192.0.2.1", 1234)


class Accepted:
    """A connection that was accepted."""

    def __init__(self, fd: int = 50) -> None:
        self.fd = fd
        self.closed = False
        self.options: list[Any] = []

    def fileno(self) -> int:
        return self.fd

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)

    def close(self) -> None:
        self.closed = True


class PortTests(DescriptorTestCase):
    """A listening port of Twisted's that is stopped by its gate. Sockets are made up; real ones are in the end-to-end
    tests."""

    def setUp(self) -> None:
        super().setUp()
        self.reading = True
        self.built: list[str] = []
        factory: Any = self
        self.port = GatedPort(0, factory, 10, "127.0.0.1", self.clock, self.descriptors.clients, 16)
        self.port.connected = True
        self.patch(self.port, "stopReading", lambda: setattr(self, "reading", False))
        self.patch(self.port, "startReading", lambda: setattr(self, "reading", True))
        self.descriptors.clients.add(self.port)

    def buildProtocol(self, address: Any) -> None:
        """Called by the port: nobody is welcome."""
        self.built.append(address.host)

    def come(self, *answers: Any) -> list[Any]:
        """Let these come; return those that were not taken."""
        listening = Socket(*answers)
        self.port.socket = listening  # type: ignore[assignment]
        self.port.doRead()
        return listening.answers

    def test_not_welcome(self) -> None:
        """A connection for which there is no protocol is reset at once."""
        sock = Accepted()
        self.come(sock)
        self.assertEqual((sock.closed, self.built), (True, ["192.0.2.1"]))
        self.assertEqual([option[:2] for option in sock.options], [(socket.SOL_SOCKET, socket.SO_LINGER)])

    @skipUnless(sys.platform.startswith("linux"), "congestion controls have names on Linux")
    def test_not_paced(self) -> None:
        """On loopback it spares those whom it accepts the timers of BBR, where the system has it."""
        self.patch(sockets, "_paces", lambda: True)
        for host, wanted in (("127.0.0.1", True), ("0.0.0.0", False)):
            port = GatedPort(0, Factory(), 10, host, self.clock, self.descriptors.clients, 16)
            self.patch(port, "startReading", lambda: None)
            port.startListening()
            self.addCleanup(port.socket.close)
            control = port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
            with socket.socket() as fresh:
                usual = fresh.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
            self.assertEqual(control, b"reno" if wanted else usual)

    def test_at_once(self) -> None:
        """So many for each event and no more; those who left meanwhile count, or they could keep it busy."""
        gone = OSError(errno.ECONNABORTED, "gone")
        self.assertEqual(len(self.come(*[Accepted() for _ in range(20)])), 4)
        self.assertEqual(len(self.come(*[gone] * 20)), 4)

    def test_out_of_descriptors(self) -> None:
        """Each of the four ways to say it stops reading without a word more than one, and it goes on afterwards."""
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            self.assertEqual(len(self.come(OSError(number, "none"), Accepted())), 1)
            self.assertFalse(self.reading)
            self.clock.advance(PAUSE)
            self.assertTrue(self.reading)
        self.assertEqual(len(self.lines()), 1)

    def test_reserve(self) -> None:
        """The first descriptor of the reserve is the last that is taken."""
        self.set_limit(1000)
        self.descriptors.look()
        rest = self.come(Accepted(900), Accepted(950), Accepted(951))
        self.assertEqual((len(rest), self.reading), (1, False))

    def test_bug(self) -> None:
        """A bug in who is welcomed closes that connection and not the port."""
        self.patch(self.port, "_builds", lambda address: 1 / 0)
        sock = Accepted()
        self.come(sock, Accepted())
        self.assertTrue(sock.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_closed_while_stopped(self) -> None:
        """A port that is being closed does not begin to read again."""
        self.come(OSError(errno.EMFILE, "none"))
        self.port.disconnecting = True
        self.clock.advance(PAUSE)
        self.assertFalse(self.reading)


class RaiseTests(DescriptorTestCase):
    """The soft limit at start."""

    def raised(self, soft: int, hard: int, reactor: Any = None) -> list[tuple[int, int]]:
        """Return to what the limit is set; it cannot be checked here what the kernel makes of it."""
        found: list[tuple[int, int]] = []
        self.patch(resource, "getrlimit", lambda which: (soft, hard))
        self.patch(resource, "setrlimit", lambda which, limits: found.append(limits))
        raise_limit(reactor)
        return found

    def test_to_the_hard_one(self) -> None:
        """Up to the hard limit, but to no more than a million; never down."""
        infinity = resource.RLIM_INFINITY
        self.assertEqual(self.raised(1024, 4096), [(4096, 4096)])
        self.assertEqual(self.raised(1024, infinity), [(1 << 20, infinity)])
        self.assertEqual(self.raised(4096, 4096), [])
        self.assertEqual(self.raised(1 << 21, infinity), [])
        self.assertEqual(self.raised(infinity, infinity), [])

    def test_select(self) -> None:
        """Not beyond what select(2) can take, where that is the reactor."""
        reactor = selectreactor.SelectReactor.__new__(selectreactor.SelectReactor)
        self.assertEqual(self.raised(256, 4096, reactor), [(SELECT_LIMIT, 4096)])
        self.assertEqual(self.raised(1024, 4096, reactor), [])

    def test_low(self) -> None:
        """A low limit is said, with how many visitors it is enough for."""
        self.set_limit(LOW - 1)
        self.raised(LOW - 1, LOW - 1)
        (line,) = self.lines()
        self.assertIn(f"enough for about {Shares(LOW - 1).streams} visitors", line)
        self.set_limit(LOW)
        self.raised(LOW, LOW)
        self.assertEqual(len(self.lines()), 1)

    def test_infinity_that_is_none(self) -> None:
        """A system that calls its limit infinite and refuses a million: what it does allow is taken."""
        tried: list[int] = []

        def set_limit(which: int, limits: tuple[int, int]) -> None:
            tried.append(limits[0])
            if limits[0] > 10_240:
                raise ValueError("not allowed to raise maximum limit")

        self.patch(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
        self.patch(resource, "setrlimit", set_limit)
        raise_limit(None)
        self.assertEqual(tried, [1 << 20, 10_240])

    def test_refused(self) -> None:
        """A system that does not let it: the limit stays, and nothing breaks."""

        def refuse(which: int, limits: tuple[int, int]) -> None:
            raise ValueError("not allowed to raise maximum limit")

        self.patch(resource, "getrlimit", lambda which: (100, 4096))
        self.patch(resource, "setrlimit", refuse)
        raise_limit(None)
