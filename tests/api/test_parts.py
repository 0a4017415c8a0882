"""Parts of the library on a clock that stands still and on connections in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort, InProcess, UnixPath
from gotunnel.api import TunnelAddress
from gotunnel.api.addresses import twisted_address
from gotunnel.api.bridge import Bridge
from gotunnel.api.events import Connected, Observers
from gotunnel.api.mappings import mapping_section
from gotunnel.api.refusals import port_refused
from gotunnel.api.waiting import Waits
from gotunnel.client.leaving import Leaving
from gotunnel.client.published import Published
from gotunnel.client.standing import MappingStatus
from gotunnel.config.model import MappingConfig
from gotunnel.errors import Sentence


class WaitsTests(SynchronousTestCase):
    """Waiting for a state."""

    def setUp(self) -> None:
        """Nothing holds yet."""
        self.clock = Clock()
        self.waits = Waits(self.clock)
        self.state: Any = None

    def test_seen(self) -> None:
        """It fires with what is seen, at once or later, and leaves no timer."""
        waiting = self.waits.until(lambda: self.state, 5.0)
        self.waits.look()
        self.assertNoResult(waiting)
        self.state = "here"
        self.waits.look()
        self.assertEqual(self.successResultOf(waiting), "here")
        self.assertEqual(self.successResultOf(self.waits.until(lambda: self.state)), "here")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fails(self) -> None:
        """It fails with what the condition raises, and others go on waiting."""

        def broken() -> None:
            if self.state == "broken":
                raise KeyError("x")

        waiting, other = self.waits.until(broken, 5.0), self.waits.until(lambda: None)
        self.state = "broken"
        self.waits.look()
        self.failureResultOf(waiting, KeyError)
        self.assertNoResult(other)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_late(self) -> None:
        """When the time is over it fails with what is said then."""
        waiting = self.waits.until(lambda: self.state, 5.0, lambda: ValueError("late"))
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        self.failureResultOf(waiting, ValueError)
        self.state = "here"
        self.waits.look()

    def test_cancelled(self) -> None:
        """Cancelled, also by another one who waits, it is not looked at any more."""
        second: Any = None

        def first() -> bool | None:
            if self.state:
                second.cancel()
            return self.state

        one = self.waits.until(first, 5.0)
        second = self.waits.until(lambda: self.state, 5.0)
        second.addErrback(lambda failure: "cancelled")
        self.state = True
        self.waits.look()
        self.assertEqual((self.successResultOf(one), self.successResultOf(second)), (True, "cancelled"))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Wire(StringTransport):
    """A transport that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.half_closed = self.aborted = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


class BridgeTests(SynchronousTestCase):
    """Two connections that are joined."""

    def joined(self) -> tuple[Bridge, Wire, Bridge, Wire]:
        """Return both ends with their transports: the target's first, as it is made."""
        target, visitor = Bridge(), Bridge()
        inner, outer = Wire(), Wire()
        target.makeConnection(inner)
        self.assertEqual(inner.producerState, "paused")
        visitor.meet(target)
        visitor.makeConnection(outer)
        return target, inner, visitor, outer

    def test_bytes_and_pressure(self) -> None:
        """Bytes go both ways; each end is the other's producer."""
        target, inner, visitor, outer = self.joined()
        self.assertEqual(inner.producerState, "producing")
        visitor.dataReceived(b"question")
        target.dataReceived(b"answer")
        self.assertEqual((inner.value(), outer.value()), (b"question", b"answer"))
        self.assertIs(inner.producer, outer)
        self.assertIs(outer.producer, inner)

    def test_half_closes(self) -> None:
        """The end of one direction is the end of that direction there; after both, both close."""
        target, inner, visitor, outer = self.joined()
        visitor.readConnectionLost()
        visitor.readConnectionLost()
        self.assertEqual((inner.half_closed, inner.producer, outer.half_closed), (True, None, False))
        target.writeConnectionLost()
        self.assertFalse(inner.disconnecting)
        target.readConnectionLost()
        self.assertTrue(outer.half_closed and inner.disconnecting)
        self.assertFalse(outer.disconnecting)
        visitor.writeConnectionLost()
        self.assertTrue(outer.disconnecting)

    def test_endings(self) -> None:
        """An orderly end is one there, and a reset is a reset."""
        for reason, aborted in ((ConnectionDone(), False), (ConnectionLost(), True)):
            target, _, _, outer = self.joined()
            target.connectionLost(Failure(reason))
            self.assertEqual((outer.aborted, outer.disconnecting), (aborted, not aborted))

    def test_gone_before_they_meet(self) -> None:
        """A target that was lost before its visitor was there is told to him when he is."""
        target, visitor, outer = Bridge(), Bridge(), Wire()
        target.makeConnection(Wire())
        target.connectionLost(Failure(ConnectionLost()))
        visitor.meet(target)
        visitor.makeConnection(outer)
        self.assertTrue(outer.aborted)


class LeavingTests(SynchronousTestCase):
    """Who cuts the visitors of a mapping that is removed."""

    def test_nobody(self) -> None:
        """Where a program sees to that no timer runs for it: a port may be opened and closed for ever."""
        clock, cut = Clock(), []

        def cutting(name: str) -> int:
            cut.append(name)
            return 1

        for cuts, expected in ((True, ["web"]), (False, [])):
            leaving = Leaving(clock, Published((), HostPort("s", 1), lambda: None), cutting)
            leaving.cuts = cuts
            leaving.leave(("web",), 86_400.0)
            clock.advance(6)
            self.assertEqual(len(clock.getDelayedCalls()), len(expected))
            clock.advance(86_400)
            self.assertEqual(cut, expected)
            cut.clear()


class SmallTests(SynchronousTestCase):
    """Addresses, names, observers."""

    def test_addresses(self) -> None:
        """IP addresses are Twisted's own, anything else is a TunnelAddress."""
        for what, expected in (
            ("192.0.2.1:80", IPv4Address("TCP", "192.0.2.1", 80)),
            ("[2001:db8::1]:80", IPv6Address("TCP", "2001:db8::1", 80)),
            (HostPort("192.0.2.1", 8), IPv4Address("TCP", "192.0.2.1", 8)),
            ("server.example:80", TunnelAddress("server.example:80")),
            ("unix", TunnelAddress("unix")),
            ("mapping:a/b", TunnelAddress("mapping:a/b")),
        ):
            self.assertEqual(twisted_address(what), expected)
        self.assertEqual(str(TunnelAddress("unix")), "unix")

    def test_names(self) -> None:
        """A mapping is called like its target, or its port; without either, or when that is taken, it is numbered."""
        inside = InProcess(lambda source: None, lambda factory: None)
        for local, remote, taken, expected in (
            (8000, None, (), ("127.0.0.1:8000", 8000)),
            ("unix:/run/x", None, (), ("unix:/run/x", 0)),
            (8000, 0, ("127.0.0.1:8000", "127.0.0.1:8000-2"), ("127.0.0.1:8000-3", 0)),
            (inside, 8080, (), ("8080", 8080)),
            (inside, "192.0.2.1:0", ("listener",), ("listener-2", "192.0.2.1:0")),
            (inside, None, (), ("listener", 0)),
        ):
            section = mapping_section(local, remote, {}, taken)
            self.assertEqual((section["name"], section["remote"]), expected)

    def test_same_target(self) -> None:
        """Two targets in this process are the same when they lead to the same object, and not because both are here."""
        class Listener:
            def arrive(self, source: str) -> None: ...
            def look(self, factory: object) -> None: ...

        one, other = Listener(), Listener()
        self.assertEqual(InProcess(one.arrive, one.look), InProcess(one.arrive, one.look))
        self.assertEqual(len({InProcess(one.arrive, one.look), InProcess(one.arrive, one.look)}), 1)
        self.assertNotEqual(InProcess(one.arrive, one.look), InProcess(other.arrive, other.look))
        self.assertNotEqual(InProcess(one.arrive, one.look), InProcess(one.arrive, one.look, datagrams=True))
        self.assertNotEqual(InProcess(one.arrive, one.look), UnixPath(""))

    def test_refusals(self) -> None:
        """A limit is named with its cure; a server that is about to stop has none to raise."""
        config = MappingConfig.model_validate({"name": "web", "local": 1, "remote": 80})
        for reason, said in (
            ("2 mappings", "limit: port 80: 2 mappings; the server's limits.mappings says how many"),
            ("the server is about to stop", "limit: port 80: the server is about to stop"),
        ):
            status = MappingStatus(config, code="limit", reason=Sentence("limit: {reason}", reason=reason))
            self.assertEqual(str(port_refused(status)), said)

    def test_observers(self) -> None:
        """Each is told in order; one that is removed, twice even, or raises, harms nobody."""
        observers = Observers()
        heard: list[Any] = []
        self.assertFalse(observers)
        first = observers.add(heard.append)
        observers.add(_raise)
        observers.add(heard.append)
        observers.tell(Connected("s"))
        first()
        first()
        observers.tell(Connected("t"))
        self.assertEqual(heard, [Connected("s"), Connected("s"), Connected("t")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.assertTrue(observers)


def _raise(event: object) -> None:
    raise RuntimeError("an observer")
