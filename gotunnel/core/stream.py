"""The byte counts and outcome of one visitor's stream, recorded while it runs. Pure bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.errors import printable

__all__ = [
    "CLOSED", "GOING_AWAY", "IDLE", "KICKED", "LEFT", "LOST", "PORT_UNREACHABLE", "StreamEnd", "StreamTally",
    "outcome_of_cut", "outcome_of_reset",
]  # fmt: skip

KICKED = "kicked"
"""Reset code: an operator disconnected the visitor."""
GOING_AWAY = "going_away"
"""Reset code: the time to drain is over."""
LEFT = "visitor_left"
"""Reset code: the visitor disconnected before its target answered."""
LOST = "leg_lost"
"""Reset code: where a server joins two legs for a visitor, the other leg was lost."""
IDLE = "idle"
"""End code of a flow of datagrams: nothing arrived for its idle time."""
CLOSED = "closed"
"""End code of a flow: its port is closed. A datagram socket cannot be closed for new sources only."""
PORT_UNREACHABLE = "port_unreachable"
"""End code of a flow: the target's system reports that nothing listens there."""
_COMPLETED = Outcome.COMPLETED  # in older Python versions, looking up an Enum member takes as long as a call
_CUTS = {
    GOING_AWAY: Outcome.DRAINED, KICKED: Outcome.STOPPED, "acl_denied": Outcome.STOPPED, "not_allowed": Outcome.STOPPED,
    LEFT: Outcome.VISITOR_LEFT, LOST: Outcome.LEG_LOST, IDLE: Outcome.QUIET, CLOSED: Outcome.STOPPED,
    PORT_UNREACHABLE: Outcome.REFUSED,
}  # fmt: skip


def outcome_of_cut(code: str) -> Outcome:
    """Return the outcome of a visitor that this end disconnects with this code."""
    return _CUTS.get(code, Outcome.STOPPED)


def outcome_of_reset(code: str, otherwise: Outcome) -> Outcome:
    """Return the outcome of a visitor that the other end reset.

    `otherwise` is returned if the code says no more than that the visitor or the target reset its connection. So both
    ends record the same outcome.
    """
    return _CUTS.get(code, otherwise)


@dataclass(slots=True)  # not frozen: construction would take three times as long, for each visitor
class StreamEnd:
    """How a stream ended.

    `code` is the wire code of the RST that ended it, if any. `up` counts the bytes from the visitor to the target,
    `down` those back.
    """

    outcome: Outcome
    code: str | None
    up: int
    down: int

    @property
    def bracketed(self) -> str:
        """The code in brackets, to append to the outcome; empty if there is none or it equals the outcome."""
        code = self.code
        return f" ({printable(code)})" if code and code != WORDS[self.outcome] else ""


class StreamTally:
    """Counts one stream's bytes as one end of its leg sees them, and keeps the first error."""

    __slots__ = ("_code", "_outcome", "received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        """Bytes from the visitor or the target to the leg."""
        self.received = 0
        """Bytes from the leg to the visitor or the target."""
        self._outcome: Outcome | None = None
        self._code: str | None = None

    def note(self, outcome: Outcome, code: str | None = None) -> None:
        """Record an error. Only the first call counts: later errors are its consequences."""
        if self._outcome is None:
            self._outcome, self._code = outcome, code

    @property
    def passed_on(self) -> str | None:
        """The code with which to end the other leg when a server joins two legs; None for a plain reset.

        Read it when the stream is disconnected.
        """
        return LOST if self._outcome is None else self._code if self._code in _CUTS else None

    def carried(self, *, opener: bool) -> tuple[int, int]:
        """Return the bytes so far, to the target and back."""
        return (self.sent, self.received) if opener else (self.received, self.sent)

    def end(self, *, opener: bool) -> StreamEnd:
        """Return how the stream ended: completed if there was no error. `opener` is the end that has the visitor."""
        up, down = (self.sent, self.received) if opener else (self.received, self.sent)
        return StreamEnd(self._outcome or _COMPLETED, self._code, up, down)
