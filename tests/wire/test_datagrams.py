"""Tests of gotunnel.wire.datagrams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.datagrams import MOST_DATAGRAM, Assembly
from tests.wire.strategies import PROPERTY


class AssemblyTests(SynchronousTestCase):
    """Datagrams out of pieces of frames."""

    @PROPERTY
    @given(st.lists(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), max_size=8))
    def test_whole_again(self, frames: list[list[bytes]]) -> None:
        """However frames are cut, each comes out as one datagram, in order, and nothing of one is in another."""
        assembly = Assembly()
        found = []
        for pieces in frames:
            for number, piece in enumerate(pieces, 1):
                buffer = bytearray(piece)
                datagram = assembly.add(memoryview(buffer), number == len(pieces))
                buffer[:] = b"\0" * len(buffer)  # whoever keeps a view of it has zeros now
                if datagram is not None:
                    found.append(datagram)
        self.assertEqual(found, [b"".join(pieces) for pieces in frames])

    def test_too_long(self) -> None:
        """The longest datagram passes; of a frame with one byte more nothing is kept, and what is behind it passes."""
        assembly = Assembly()
        longest = b"x" * MOST_DATAGRAM
        self.assertEqual(assembly.add(longest, True), longest)
        self.assertIsNone(assembly.add(longest, False))
        self.assertIsNone(assembly.add(b"y", False))
        self.assertEqual(assembly._pieces, [])
        self.assertEqual(assembly.add(b"z", True), b"")
        self.assertEqual(assembly.add(longest + b"y", True), b"")
        self.assertEqual(assembly.add(b"next", True), b"next")
