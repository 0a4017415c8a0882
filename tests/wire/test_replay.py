"""The window of numbers that serve once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.replay import SeqWindow

from .strategies import PROPERTY


class SeqWindowTests(SynchronousTestCase):
    """What passes, and what does not."""

    def test_once(self) -> None:
        """Each number passes once, in any order."""
        window = SeqWindow()
        order = [5, 1, 3, 0, 2, 4, 9]
        self.assertEqual([window.accept(seq) for seq in order], [True] * 7)
        self.assertEqual([window.accept(seq) for seq in order], [False] * 7)

    def test_edge_of_the_window(self) -> None:
        """The number `size` - 1 below the highest still passes, the next lower one does not."""
        for size in (1, 2, 64, 4096):
            window = SeqWindow(size)
            self.assertTrue(window.accept(10_000))
            self.assertFalse(window.accept(10_000 - size))
            self.assertEqual(window.accept(10_000 - size + 1), size > 1)

    def test_default_size(self) -> None:
        """The contract's 4,096."""
        window = SeqWindow()
        window.accept(4096)
        self.assertEqual((window.accept(0), window.accept(1)), (False, True))

    def test_leap(self) -> None:
        """A leap to the end of the range costs no memory, and leaves nothing below fresh by mistake."""
        window = SeqWindow()
        self.assertTrue(window.accept(3))
        self.assertTrue(window.accept(2**64 - 1))
        self.assertFalse(window.accept(2**64 - 1))
        self.assertFalse(window.accept(3))
        self.assertTrue(window.accept(2**64 - 2))
        self.assertTrue(window._spent.bit_length() <= 4096)

    def test_memory(self) -> None:
        """However many numbers pass, what is remembered does not grow beyond the window."""
        window = SeqWindow(64)
        self.assertTrue(all(window.accept(seq) for seq in range(0, 1000, 3)))
        self.assertTrue(window._spent.bit_length() <= 64)

    def test_negative(self) -> None:
        """There is nothing below 0."""
        window = SeqWindow()
        self.assertFalse(window.accept(-1))
        self.assertTrue(window.accept(0))

    def test_size(self) -> None:
        """A window for nothing is a mistake."""
        self.assertRaises(ValueError, SeqWindow, 0)

    @PROPERTY
    @given(st.integers(1, 8), st.lists(st.integers(0, 24), max_size=60))
    def test_against_the_plain_rule(self, size: int, numbers: list[int]) -> None:
        """Fresh is what was not accepted before and lies above the highest minus the size."""
        window, spent, highest = SeqWindow(size), set[int](), -1
        for seq in numbers:
            fresh = seq not in spent and seq > highest - size
            self.assertEqual(window.accept(seq), fresh)
            if fresh:
                spent.add(seq)
                highest = max(highest, seq)
