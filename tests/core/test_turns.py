"""Turns at a few places: nobody has more than his share, and nobody waits because of another one's greed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.turns import Turns
from tests.wire.strategies import PROPERTY


class TurnsTests(SynchronousTestCase):
    """Items are numbers, or an asker and a number."""

    @staticmethod
    def taken(turns: Turns[str]) -> list[str]:
        """Return all that have a place now."""
        found = []
        while (item := turns.take()) is not None:
            found.append(item)
        return found

    def test_share(self) -> None:
        """One asker has his share, in the order of his asking, and what else he asks for waits behind it alone."""
        turns: Turns[str] = Turns(places=8, share=2, spare=0, most=10)
        for number in range(5):
            self.assertTrue(turns.wait("a", f"a{number}"))
        self.assertEqual(self.taken(turns), ["a0", "a1"])
        turns.wait("b", "b0")
        self.assertEqual(self.taken(turns), ["b0"])
        turns.leave("b")
        self.assertEqual(self.taken(turns), [])
        turns.leave("a")
        self.assertEqual(self.taken(turns), ["a2"])

    def test_who_has_least_is_next(self) -> None:
        """Out of places, who holds fewest has the next one; of those the one who waits longest."""
        turns: Turns[str] = Turns(places=4, share=3, spare=0, most=10)
        for number in range(4):
            turns.wait("a", f"a{number}")
        self.assertEqual(self.taken(turns), ["a0", "a1", "a2"])
        turns.wait("b", "b0")
        self.assertEqual(self.taken(turns), ["b0"])
        for item in ("b1", "c0", "d0", "c1"):
            turns.wait(item[0], item)
        for left, expected in (("a", "c0"), ("a", "d0"), ("d", "a3"), ("b", "b1"), ("a", "c1")):
            turns.leave(left)
            self.assertEqual(self.taken(turns), [expected])

    def test_spare(self) -> None:
        """The last places are for those who have none, and one who has some takes none of them."""
        turns: Turns[str] = Turns(places=6, share=4, spare=2, most=10)
        for number in range(4):
            turns.wait("a", f"a{number}")
            turns.wait("b", f"b{number}")
        self.assertEqual(sorted(self.taken(turns)), ["a0", "a1", "b0", "b1"])
        turns.wait("c", "c0")
        turns.wait("c", "c1")
        turns.wait("d", "d0")
        turns.wait("e", "e0")
        self.assertEqual(self.taken(turns), ["c0", "d0"])
        turns.leave("a")
        self.assertEqual(self.taken(turns), ["e0"])
        turns.leave("b")
        self.assertEqual(self.taken(turns), [])

    def test_most(self) -> None:
        """So many of one asker may wait, and no more; another one's are not counted with them."""
        turns: Turns[str] = Turns(places=1, share=1, spare=0, most=2)
        self.assertTrue(turns.wait("a", "a0"))
        self.assertEqual(self.taken(turns), ["a0"])
        self.assertEqual([turns.wait("a", f"a{number}") for number in (1, 2, 3)], [True, True, False])
        self.assertTrue(turns.wait("b", "b0"))
        for expected in ("a1", "b0"):
            turns.leave("a")
            self.assertEqual(self.taken(turns), [expected])

    def test_give_up(self) -> None:
        """What waits no more makes room, and has no place."""
        turns: Turns[str] = Turns(places=1, share=1, spare=0, most=2)
        for item in ("a0", "a1"):
            turns.wait("a", item)
        turns.give_up("a", "a0")
        turns.give_up("a", "a0")
        turns.give_up("b", "b0")
        self.assertTrue(turns.wait("a", "a2"))
        self.assertEqual(self.taken(turns), ["a1"])

    @PROPERTY
    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["ask", "leave", "give up"])), max_size=60))
    def test_any_order(self, steps: list[tuple[str, str]]) -> None:
        """Whatever happens in what order: the bounds hold, whoever could be served is, and in the end nothing is
        lost or kept."""
        places, share, spare, most = 5, 3, 2, 4
        turns: Turns[str] = Turns(places, share, spare, most)
        held: dict[str, list[str]] = {asker: [] for asker in "abcdef"}
        waiting: dict[str, list[str]] = {asker: [] for asker in "abcdef"}

        def settle() -> None:
            for item in self.taken(turns):
                self.assertEqual(waiting[item[0]].pop(0), item)
                held[item[0]].append(item)
            used = sum(map(len, held.values()))
            self.assertLessEqual(used, places)
            for asker in held:
                self.assertLessEqual(len(held[asker]), share)
                if waiting[asker]:
                    room = places - used > (spare if held[asker] else 0)
                    self.assertFalse(room and len(held[asker]) < share, f"{asker} waits for nothing")

        for number, (asker, step) in enumerate(steps):
            item = f"{asker}{number}"
            if step == "ask":
                room = len(waiting[asker]) < most
                self.assertEqual(turns.wait(asker, item), room)
                if room:
                    waiting[asker].append(item)
            elif step == "leave" and held[asker]:
                held[asker].pop()
                turns.leave(asker)
            elif step == "give up" and waiting[asker]:
                turns.give_up(asker, waiting[asker].pop())
            settle()
        while any(held.values()):
            for asker in held:
                while held[asker]:
                    held[asker].pop()
                    turns.leave(asker)
            settle()
        self.assertEqual((turns._waiting, turns._held, turns._free), ({}, {}, places))
        self.assertFalse(any(waiting.values()))
