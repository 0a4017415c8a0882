"""Why a datagram was dropped, as one closed list of words for logs, metrics and the status. What is carried on TCP and
comes faster than that takes it is dropped, never queued without end: so that nothing is lost in silence, it is counted.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from gotunnel.core.loglimit import LogLimit
from gotunnel.errors import Sentence

__all__ = ["Drop", "Drops", "drop_lines", "why"]


class Drop(Enum):
    """The values are stable: they are metric labels."""

    BLOCKED = "blocked"  # the leg takes no more for now
    WAITING = "waiting"  # too many for a target that has not answered, or a leg that is not there
    FLOWS = "flows"  # its source would have a flow more than the limits allow
    RATE = "rate"  # the same, for new flows a second
    SHUT = "shut"  # the mapping lets nobody new in
    EMPTY = "empty"  # it holds no byte, and a DATA frame has one at least
    TOO_LONG = "too_long"  # it has more bytes than IPv4 can carry in one
    UNSENT = "unsent"  # the system did not take it
    SYSTEM = "system"  # the system had no room for it ahead of us

    __hash__ = object.__hash__


_WHY = {
    Drop.BLOCKED: "the leg takes no more: the way between client and server is slower than what comes",
    Drop.WAITING: "too many arrived before the target was reached",
    Drop.FLOWS: "the limits of flows are reached (server.limits.flows, flows_per_address)",
    Drop.RATE: "too many new flows a second (server.limits.new_flows)",
    Drop.SHUT: "the mapping accepts no new visitors",
    Drop.EMPTY: "they are empty, and an empty one cannot be carried",
    Drop.TOO_LONG: "they have more than 65507 bytes, which cannot be carried",
    Drop.UNSENT: "the system does not send them",
    Drop.SYSTEM: "they come faster than this process reads them",
}


def why(drop: Drop) -> str:
    """Return the reason in words, for a log."""
    return Sentence.word(_WHY[drop])


class Drops(Counter[Drop]):
    """Those of a role, or of a mapping, since it began."""


def drop_lines() -> LogLimit:
    """Return the limit of lines about them, one a minute for each key: whoever sends decides how many are dropped."""
    return LogLimit(rate=1 / 60, burst=1)
