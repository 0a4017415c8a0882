"""The reasons for which datagrams are dropped, as one closed list for logs, metrics and the status.

Datagrams are carried over TCP. If they arrive faster than it takes them, they are dropped instead of being queued
without limit. Each drop is counted, so that no loss goes unnoticed.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from gotunnel.core.loglimit import LogLimit
from gotunnel.errors import Sentence

__all__ = ["Drop", "Drops", "drop_lines", "why"]


class Drop(Enum):
    """Why a datagram was dropped. The values are stable: they are metric labels."""

    BLOCKED = "blocked"  # the leg cannot take more at the moment
    WAITING = "waiting"  # too many are queued for a target that has not answered, or for a leg
    FLOWS = "flows"  # a new flow from its source would exceed the limits
    RATE = "rate"  # too many new flows per second
    SHUT = "shut"  # the mapping admits no new visitors
    EMPTY = "empty"  # it is empty, and a DATA frame has at least one byte
    TOO_LONG = "too_long"  # it is longer than IPv4 can carry in one datagram
    UNSENT = "unsent"  # the system refused to send it
    SYSTEM = "system"  # the system's receive buffer was full

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
    """Return the reason as text for a log."""
    return Sentence.word(_WHY[drop])


class Drops(Counter[Drop]):
    """Counts of dropped datagrams by reason, for a role or a mapping."""


def drop_lines() -> LogLimit:
    """Return the limit for log lines about drops: one a minute per key, because senders decide how many there are."""
    return LogLimit(rate=1 / 60, burst=1)
