"""Tests of gotunnel.core.flowroom and gotunnel.core.dropped."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.dropped import Drop, Drops, why
from gotunnel.core.flowroom import FlowRoom


class FlowRoomTests(SynchronousTestCase):
    """Room for flows."""

    def setUp(self) -> None:
        self.room = FlowRoom()

    def refused(self, address: str, now: float = 0.0, **more: int) -> Drop | None:
        """Ask for a flow, with limits that matter only where a test names them."""
        limits = {"most": 1000, "of_source": 1000, "a_second": 1000, **more}
        return self.room.refuse(address, now, **limits)

    def test_most(self) -> None:
        """No more than the most, whoever they are; one that leaves makes room."""
        self.assertEqual([self.refused(f"192.0.2.{number}", most=2) for number in range(3)], [None, None, Drop.FLOWS])
        self.room.left("192.0.2.0")
        self.assertEqual((self.refused("192.0.2.3", most=2), self.room.flows), (None, 2))

    def test_of_one_source(self) -> None:
        """Of one address no more than its share: an IPv6 address counts with its /64, an IPv4 one in IPv6's clothes as
        itself. Whoever has left is forgotten."""
        for one, same, other in (
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ):
            self.assertEqual(
                [self.refused(each, of_source=1) for each in (one, same, other)], [None, Drop.FLOWS, None], one
            )
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"):
            self.room.left(address)
        self.assertEqual((self.room.flows, dict(self.room._sources)), (0, {}))

    def test_a_second(self) -> None:
        """So many new ones a second, however many have left; what is refused takes no room. Another limit holds at
        once."""
        found = [self.refused("192.0.2.1", a_second=3) for _ in range(5)]
        self.assertEqual(found, [None, None, None, Drop.RATE, Drop.RATE])
        self.assertEqual(self.room.flows, 3)
        self.room.left("192.0.2.1")
        self.assertIs(self.refused("192.0.2.1", 0.1, a_second=3), Drop.RATE)
        self.assertIsNone(self.refused("192.0.2.1", 0.5, a_second=3))
        self.assertIsNone(self.refused("192.0.2.1", 0.5, a_second=1))
        self.assertIs(self.refused("192.0.2.1", 0.5, a_second=1), Drop.RATE)


class DropTests(SynchronousTestCase):
    """The words for what was not carried."""

    def test_words_are_stable(self) -> None:
        """Queries of users hold these words: to change one is to break them. Each has a reason for the log."""
        words = ["blocked", "waiting", "flows", "rate", "shut", "empty", "too_long", "unsent", "system"]
        self.assertEqual([drop.value for drop in Drop], words)
        self.assertEqual(len({why(drop) for drop in Drop}), len(words))

    def test_count(self) -> None:
        """They add up."""
        drops = Drops()
        drops[Drop.EMPTY] += 2
        drops[Drop.RATE] += 3
        self.assertEqual((drops.total(), drops[Drop.SHUT]), (5, 0))
