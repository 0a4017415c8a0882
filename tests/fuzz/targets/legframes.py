"""Leg frames: the decoder of the portable relay and the parser of the fast one understand the same. The first byte is
the size of the pieces in which they come."""

from __future__ import annotations

from tests.hostile.test_leg_bytes import Heard, cut, joined, portable

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    size = data[0] % 32 + 1 if data else 1
    pieces = cut(data[1:], [size] * (len(data) // size))
    expected, breach = portable(pieces)
    leg, wrong = Heard(), None
    for piece in pieces:
        wrong = leg.feed(piece)
        if wrong is not None:
            break
    assert joined(leg.heard) == joined(expected), "other frames"
    assert (wrong is not None) == breach, wrong
