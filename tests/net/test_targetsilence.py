"""Tests of gotunnel.net.targetflow: what a flow does whose target says nothing for long, or to which no way leads."""

from __future__ import annotations

import errno

from gotunnel.address import HostPort
from gotunnel.core.dropped import Drop
from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.net.targetflow import SILENCE

from .targetflows import FIRST, SECOND, THIRD, PlayedCase


class SilenceTests(PlayedCase):
    """The visitor goes on sending."""

    def setUp(self) -> None:
        super().setUp()
        self.slow.hosts = (FIRST,)

    def test_another_address(self) -> None:
        """Where the name stands for another address by now, the flow goes there; one that is answered does not ask."""
        flow = self.flow()
        self.slow.hosts = (SECOND, THIRD)
        self.slow.clock.advance(SILENCE - 1)
        self.played.made[0].arrived(b"answer")
        self.slow.clock.advance(SILENCE - 1)
        flow._take(b"one", True)
        self.slow.clock.advance(1)
        self.assertEqual((self.slow.looks, flow.host), (1, FIRST))
        flow._take(b"two", True)
        flow._take(b"three", True)
        self.assertEqual((self.slow.looks, self.sent()), (2, [(FIRST, [b"one"]), (SECOND, [b"two", b"three"])]))
        self.assertTrue(self.played.made[0].closed)
        self.played.made[1].refused()
        self.assertEqual((flow.destination(), flow.host), (self.played.made[2].here, THIRD))
        self.assertEqual(self.sent()[2], (THIRD, [b"two", b"three"]))

    def test_same(self) -> None:
        """Where it is the same one, reached from the same address, nothing changes: the service sees one port."""
        flow = self.flow()
        here = flow.destination()
        for turn in range(1, 4):
            self.slow.clock.advance(SILENCE)
            flow._take(b"x", True)
            self.assertEqual((self.slow.looks, flow.destination()), (1 + turn, here))
        self.assertEqual(self.sent()[0], (FIRST, [b"x"] * 3))
        self.assertEqual([each.closed for each in self.played.made], [False, True, True, True])
        self.slow.hosts = ()
        self.slow.clock.advance(SILENCE)
        flow._take(b"x", True)
        self.slow.hosts, self.played.nowhere = (FIRST,), {FIRST}
        self.slow.clock.advance(SILENCE)
        flow._take(b"x", True)
        self.slow.hosts, self.played.nowhere = (SECOND,), {SECOND}
        self.slow.clock.advance(SILENCE)
        flow._take(b"x", True)
        self.assertEqual((self.slow.looks, flow.destination(), self.dropped), (7, here, []))

    def test_another_source(self) -> None:
        """Where this machine reaches it from another address, the flow does so, too: the former may be lost, and what
        is sent from it. So it is with a target by its address."""
        for target in (self.target, HostPort(FIRST, 53)):
            self.target = target
            self.played.here = "192.0.2.1"
            flow = self.flow() if target.host != FIRST else self.dial()
            self.addCleanup(flow.abort)
            before = self.played.made[-1]
            self.played.here = "192.0.2.7"
            self.slow.clock.advance(SILENCE)
            flow._take(b"x", True)
            self.assertEqual((flow.destination(), before.closed), (self.played.made[-1].here, True))
            self.assertEqual(self.sent()[-1], (FIRST, [b"x"]))

    def test_one_look(self) -> None:
        """Those that ask meanwhile share a look-up, and one that has ended does not hear of it."""
        flows = [self.flow() for _ in range(3)]
        self.slow.hosts, self.slow.answering = (SECOND,), False
        self.slow.clock.advance(SILENCE)
        for flow in flows:
            flow._take(b"x", True)
        self.assertEqual(self.slow.looks, 4)
        flows[0].abort()
        self.slow.answer()
        self.assertEqual([flow.host for flow in flows], [FIRST, SECOND, SECOND])
        self.assertEqual(self.answers._looking, {})

    def test_no_way(self) -> None:
        """Where the system says that there is no way, another one is looked for at once, but not for each datagram; one
        from the same address is none."""
        flow = self.flow()
        first = self.played.made[0]
        first.fails = OSError(errno.ENETUNREACH, "no way")
        flow._take(b"one", True)
        self.slow.clock.advance(1)
        flow._take(b"two", True)
        self.played.here = "192.0.2.7"
        flow._take(b"three", True)
        self.assertEqual((self.dropped, len(self.played.made)), ([Drop.UNSENT] * 3, 2))
        self.slow.clock.advance(1)
        flow._take(b"four", True)
        self.assertEqual((flow.destination(), self.sent()[-1]), (self.played.made[2].here, (FIRST, [b"four"])))
        self.played.here = "192.0.2.8"
        self.slow.clock.advance(1)
        self.played.made[2].fails = first.fails
        self.played.refuses = {FIRST: 0}
        self.assertRaises(ConnectionRefusedError, flow._take, b"five", True)
        self.assertEqual(flow.why, PORT_UNREACHABLE)
