"""Tests of gotunnel.net.flow: what time does to a flow, and what it holds. What legs do with one is in the contract of
the relays."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.dropped import Drop
from gotunnel.errors import LocalProtocolError
from gotunnel.net.flow import MOST_WAITING, MOST_WAITING_BYTES
from gotunnel.net.portableflow import PortableFlow
from gotunnel.wire.datagrams import MOST_DATAGRAM


class Sink:
    """A leg."""

    unfinished = 0

    def __init__(self) -> None:
        self.said: list[object] = []

    def local_data(self, data: bytes) -> None:
        self.said.append(data)

    def local_lost(self) -> None:
        self.said.append("lost")

    def local_closed(self) -> None:
        self.said.append("closed")


class FlowTests(SynchronousTestCase):
    """One flow."""

    def setUp(self) -> None:
        self.clock, self.sink = Clock(), Sink()
        self.sent: list[bytes] = []
        self.dropped: list[Drop] = []
        self.closed = self.gone = 0

    def send(self, datagram: bytes) -> None:
        """See Outlet."""
        self.sent.append(datagram)

    def close(self) -> None:
        """See Outlet."""
        self.closed += 1

    def flow(self, *, answered: bool = False) -> PortableFlow:
        """Return a flow with an idle time of ten seconds."""
        found = PortableFlow(self.clock, self, 10.0, "192.0.2.1:5", "192.0.2.1", "", self.dropped.append, answered)
        found.on_gone = self.left
        return found

    def left(self) -> None:
        """It is gone."""
        self.gone += 1

    def test_quiet(self) -> None:
        """It ends when nothing came either way for its idle time: each datagram counts, and one that is dropped too,
        as somebody is there. Then its leg hears why, once, and no timer is left."""
        flow = self.flow(answered=True)
        flow.attach(self.sink)
        for _ in range(3):
            self.clock.advance(9)
            flow.arrived(b"up")
            self.clock.advance(9)
            flow.write(b"down")
            self.clock.advance(9)
            flow.arrived(b"")
        self.assertEqual((flow.gone, self.sent, self.dropped), (False, [b"down"] * 3, [Drop.EMPTY] * 3))
        self.clock.advance(9.9)
        self.assertFalse(flow.gone)
        self.clock.advance(0.2)
        self.assertEqual((flow.gone, flow.why, self.sink.said, self.closed), (True, "idle", ["lost"], 1))
        flow.arrived(b"late")
        flow.end("closed")
        flow.abort()
        self.assertEqual((flow.why, self.closed, self.clock.getDelayedCalls()), ("idle", 1, []))

    def test_waits(self) -> None:
        """Without a leg it holds so many datagrams, and no more bytes than one datagram may have; they reach the leg in
        order. What comes before the answer counts, though the leg has taken it."""
        flow = self.flow()
        flow.arrived(b"a" * (MOST_WAITING_BYTES - 10))
        flow.arrived(b"b" * 11)
        for number in range(MOST_WAITING):
            flow.arrived(bytes([number]))
        self.assertEqual(self.dropped, [Drop.WAITING] * 7)  # one is too long, and ten bytes are left
        flow.attach(self.sink)
        self.assertEqual(self.sink.said, [])
        flow.resume()
        self.assertEqual([len(each) for each in self.sink.said], [MOST_WAITING_BYTES - 10, *[1] * 10])  # type: ignore[arg-type]
        flow.arrived(b"c")
        self.assertEqual(self.dropped, [Drop.WAITING] * 8)
        flow.answered()
        flow.arrived(b"d")
        self.assertEqual(self.sink.said[-1], b"d")

    def test_unfit(self) -> None:
        """What is longer than the other end takes is not given to the leg, nor kept: IPv6 has such datagrams."""
        flow = self.flow()
        flow.arrived(b"x" * (MOST_DATAGRAM + 1))
        flow.arrived(b"x" * MOST_DATAGRAM)
        flow.attach(self.sink)
        flow.resume()
        flow.answered()
        flow.arrived(b"y" * (MOST_DATAGRAM + 20))
        self.assertEqual((len(self.sink.said), self.dropped), (1, [Drop.TOO_LONG] * 2))
        flow.abort()

    def test_paused(self) -> None:
        """A leg that takes nothing for a while gets what was kept, and only that, when it takes more."""
        flow = self.flow(answered=True)
        flow.attach(self.sink)
        flow.resume()
        flow.pause()
        for number in range(MOST_WAITING + 5):
            flow.arrived(bytes([number]))
        self.assertEqual((self.sink.said, self.dropped), ([], [Drop.BLOCKED] * 5))
        flow.resume()
        self.assertEqual(self.sink.said, [bytes([number]) for number in range(MOST_WAITING)])

    def test_ends(self) -> None:
        """Reset, finished, or given up before a leg has it: its socket is closed once, and whoever waits hears it."""
        for end, said in (("abort", []), ("finish", ["closed"]), ("lost", ["lost"])):
            self.setUp()
            flow = self.flow()
            flow.attach(self.sink)
            flow.on_gone = self.left
            getattr(flow, end)()
            self.assertEqual((flow.gone, self.sink.said, self.closed, self.gone), (True, said, 1, 1), end)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertRaises(OSError, flow._take, b"too late", True)
            flow.lost()
            self.assertEqual((self.sent, self.closed, self.gone), ([], 1, 1), end)
            flow.attach(self.sink)
            self.assertEqual(self.sink.said, [*said, "lost"])

    def test_is_no_stream(self) -> None:
        """Nothing of ours can go ahead of datagrams, and nobody can stand for somebody else."""
        flow = self.flow()
        self.addCleanup(flow.abort)
        self.assertRaises(LocalProtocolError, flow.begin_with, b"PROXY")
        self.assertRaises(LocalProtocolError, flow.stand_for, "", "", "")
        self.assertEqual((flow.fileno(), flow.half_close()), (-1, None))  # type: ignore[func-returns-value]
