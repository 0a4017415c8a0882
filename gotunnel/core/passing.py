"""When a visitor whom no target has answered may go to another one that leads to the same. Knows neither end."""

from __future__ import annotations

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import KICKED, StreamEnd

__all__ = ["BLAMED", "may_pass"]

BLAMED = frozenset(
    {Outcome.REFUSED, Outcome.DIAL_TIMEOUT, Outcome.LEG_LOST, Outcome.PROTOCOL_ERROR, Outcome.NO_LEG}
)
"""What one has failed at: for a moment others come first."""
_PASSED = BLAMED | {Outcome.MAPPING_DOWN, Outcome.DENIED, Outcome.STOPPED}


def may_pass(outcome: Outcome, end: StreamEnd | None) -> bool:
    """Whether a visitor whom no target has answered may go to another one after this. Not if he was cut on purpose:
    then a code says why, and he was reset."""
    code = None if end is None else end.code
    return outcome in _PASSED and code != KICKED and (outcome is not Outcome.STOPPED or code is None)
