"""How a visitor's stream ended, as one closed list of words for logs, metrics and the dashboard. Counts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["WORDS", "Outcome", "StreamRecord"]


class Outcome(Enum):
    """The outcome of one visitor. The values are stable: they are metric labels and appear in users' queries."""

    COMPLETED = "completed"  # both directions ended cleanly
    REFUSED = "refused"  # the target refused, or could not be reached
    DIAL_TIMEOUT = "dial_timeout"  # the target did not answer in time
    DENIED = "denied"  # rights or limits forbid it
    MAPPING_DOWN = "mapping_down"  # the client reports that the target is unhealthy
    NO_LEG = "no_leg"  # no leg arrived in time, or the client is away
    RESET_BY_VISITOR = "reset_by_visitor"
    RESET_BY_TARGET = "reset_by_target"
    VISITOR_LEFT = "visitor_left"  # the visitor disconnected before its target answered
    LEG_LOST = "leg_lost"  # the connection between server and client broke
    PROTOCOL_ERROR = "protocol_error"  # the other end violated the protocol
    DRAINED = "drained"  # still streaming when the time to drain was over
    STOPPED = "stopped"  # the mapping was closed or the process stopped
    QUIET = "quiet"  # a flow of datagrams that was idle for its idle time

    # Looked up once per visitor; an identity hash costs a tenth of Enum's own.
    __hash__ = object.__hash__


WORDS: dict[Outcome, str] = {outcome: outcome.value for outcome in Outcome}
"""The word for each outcome: this lookup costs a tenth of Enum's `value`."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One visitor from accept to end. Times are monotonic seconds.

    `bytes_up` went from the visitor to the target, `bytes_down` back. `conn` is the id in the logs of both ends,
    `visitor` an address as text.
    """

    conn: str
    mapping: str
    visitor: str
    bytes_up: int
    bytes_down: int
    started: float
    ended: float
    outcome: Outcome

    @property
    def duration(self) -> float:
        """Seconds from accept to end."""
        return self.ended - self.started
