"""Which member of a group gets the next visitor."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.roster import SHUN, Roster


def anybody(member: str) -> bool:
    """Everybody is able."""
    return True


class RosterTests(SynchronousTestCase):
    """The pure choice."""

    def roster(self, *members: str) -> Roster[str]:
        """Return one with these members."""
        roster: Roster[str] = Roster()
        for member in members:
            roster.add(member)
        return roster

    def take(self, roster: Roster[str], now: float = 0.0) -> str:
        """Let a visitor go where he is to go."""
        member = roster.choose(now, anybody)
        assert member is not None
        roster.took(member)
        return member

    def test_fewest(self) -> None:
        """The member with the fewest visitors is chosen, whatever the order in which they came and go."""
        roster = self.roster("a", "b", "c")
        for member, count in (("a", 5), ("b", 2), ("c", 3)):
            for _ in range(count):
                roster.took(member)
        self.assertEqual(roster.choose(0, anybody), "b")
        self.assertEqual([roster.visitors(each) for each in roster], [5, 2, 3])
        for _ in range(4):
            roster.gave("a")
        self.assertEqual(roster.choose(0, anybody), "a")

    def test_evenly(self) -> None:
        """Visitors who stay are spread evenly, and so are those who leave at once."""
        for stay in (True, False):
            roster, had = self.roster("a", "b", "c"), Counter[str]()
            for _ in range(30):
                member = self.take(roster)
                had[member] += 1
                if not stay:
                    roster.gave(member)
            self.assertEqual(had, {"a": 10, "b": 10, "c": 10})

    def test_tried_and_unable(self) -> None:
        """Nobody is sent where he has been, nor to a member that is not able; then there is none."""
        roster = self.roster("a", "b", "c")
        self.assertEqual(roster.choose(0, anybody, {"a", "b"}), "c")
        self.assertEqual(roster.choose(0, lambda member: member == "b", {"a"}), "b")
        self.assertIsNone(roster.choose(0, lambda member: member == "b", {"b"}))
        self.assertIsNone(roster.choose(0, anybody, {"a", "b", "c"}))
        self.assertIsNone(self.roster().choose(0, anybody))

    def test_shunned(self) -> None:
        """A member that failed comes last for a while, though it has the fewest visitors, and not longer: when its
        time is over, or its target has answered, it is as before. Alone it is chosen all the same."""
        roster = self.roster("a", "b")
        roster.took("b")
        roster.failed("a", 100.0)
        self.assertEqual(roster.choose(100.0 + SHUN - 0.1, anybody), "b")
        self.assertEqual(roster.choose(100.0 + SHUN, anybody), "a")
        self.assertEqual(roster.choose(100.0, anybody, {"b"}), "a")
        roster.forgive("a")
        self.assertEqual(roster.choose(100.0, anybody), "a")

    def test_come_and_go(self) -> None:
        """A member that is gone is not chosen, and what is said of it later changes nothing; nobody is in twice."""
        roster = self.roster("a", "b")
        roster.remove("a")
        for word in (roster.took, roster.gave, roster.forgive, roster.remove):
            word("a")
        roster.failed("a", 0.0)
        self.assertEqual((list(roster), len(roster), "a" in roster, roster.choose(0, anybody)), (["b"], 1, False, "b"))
        self.assertRaises(ValueError, roster.add, "b")
