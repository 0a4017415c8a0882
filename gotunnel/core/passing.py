"""Decides when a visitor that no target has answered may be passed on to another member or target."""

from __future__ import annotations

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import KICKED, StreamEnd

__all__ = ["BLAMED", "may_pass"]

BLAMED = frozenset(
    {Outcome.REFUSED, Outcome.DIAL_TIMEOUT, Outcome.LEG_LOST, Outcome.PROTOCOL_ERROR, Outcome.NO_LEG}
)
"""Outcomes that count as a failure of the member: for a while others are preferred."""
_PASSED = BLAMED | {Outcome.MAPPING_DOWN, Outcome.DENIED, Outcome.STOPPED}


def may_pass(outcome: Outcome, end: StreamEnd | None) -> bool:
    """Return whether a visitor that no target has answered may be passed on after this outcome.

    Not if it was disconnected on purpose: then `end` has a code that says why, and the visitor was reset.
    """
    code = None if end is None else end.code
    return outcome in _PASSED and code != KICKED and (outcome is not Outcome.STOPPED or code is None)
