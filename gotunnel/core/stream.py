"""What one visitor's stream amounted to, kept while it runs and said once at its end. Pure bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass

from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.errors import printable

__all__ = [
    "CLOSED", "GOING_AWAY", "IDLE", "KICKED", "LEFT", "LOST", "PORT_UNREACHABLE", "StreamEnd", "StreamTally",
    "outcome_of_cut", "outcome_of_reset",
]  # fmt: skip

KICKED = "kicked"
"""The code of a reset that an operator asked for."""
GOING_AWAY = "going_away"
"""The code of a reset when the time to finish is over."""
LEFT = "visitor_left"
"""The code of a reset of a visitor who went before his target had answered."""
LOST = "leg_lost"
"""The code of a reset of a visitor whose other leg is gone, where a server leads him from one leg to another."""
IDLE = "idle"
"""The code of the end of a flow of datagrams in which nothing has come for its idle time."""
CLOSED = "closed"
"""The code of the end of a flow whose port is closed: a datagram socket cannot be closed for new sources alone."""
PORT_UNREACHABLE = "port_unreachable"
"""The code of the end of a flow whose target's system says that nobody listens there."""
_COMPLETED = Outcome.COMPLETED  # to ask an Enum for a member takes as long as a call, in older versions of Python
_CUTS = {
    GOING_AWAY: Outcome.DRAINED, KICKED: Outcome.STOPPED, "acl_denied": Outcome.STOPPED, "not_allowed": Outcome.STOPPED,
    LEFT: Outcome.VISITOR_LEFT, LOST: Outcome.LEG_LOST, IDLE: Outcome.QUIET, CLOSED: Outcome.STOPPED,
    PORT_UNREACHABLE: Outcome.REFUSED,
}  # fmt: skip


def outcome_of_cut(code: str) -> Outcome:
    """Return what becomes of a visitor whom this end cuts by itself, with this code."""
    return _CUTS.get(code, Outcome.STOPPED)


def outcome_of_reset(code: str, otherwise: Outcome) -> Outcome:
    """Return the same for whom the other end has reset: the same word at both ends where its code says more than that
    the visitor, or the target, has reset his connection."""
    return _CUTS.get(code, otherwise)


@dataclass(slots=True)  # not frozen: that takes three times as long, for each visitor
class StreamEnd:
    """How a stream ended. `code` is the wire code of the RST that ended it, if one did; `up` counts the bytes from
    the visitor to the target, `down` those from the target to the visitor."""

    outcome: Outcome
    code: str | None
    up: int
    down: int

    @property
    def bracketed(self) -> str:
        """The code in brackets, for behind the outcome's word; nothing where it would say the same again."""
        code = self.code
        return f" ({printable(code)})" if code and code != WORDS[self.outcome] else ""


class StreamTally:
    """Counts one stream's bytes, as one end of its leg sees them, and keeps the first thing that went wrong with it."""

    __slots__ = ("_code", "_outcome", "received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        """Bytes from the visitor or the target to the leg."""
        self.received = 0
        """Bytes from the leg to the visitor or the target."""
        self._outcome: Outcome | None = None
        self._code: str | None = None

    def note(self, outcome: Outcome, code: str | None = None) -> None:
        """Something went wrong. Only the first call names the end: what follows is its consequence."""
        if self._outcome is None:
            self._outcome, self._code = outcome, code

    @property
    def passed_on(self) -> str | None:
        """The code by which another leg, to which the stream was led, is to say how this one ended; None if there is
        nothing to say but that it was reset. To be asked when the stream is cut."""
        return LOST if self._outcome is None else self._code if self._code in _CUTS else None

    def carried(self, *, opener: bool) -> tuple[int, int]:
        """Return the bytes so far, to the target and back."""
        return (self.sent, self.received) if opener else (self.received, self.sent)

    def end(self, *, opener: bool) -> StreamEnd:
        """Return the end; a stream with which nothing went wrong is completed. The opener has the visitor."""
        up, down = (self.sent, self.received) if opener else (self.received, self.sent)
        return StreamEnd(self._outcome or _COMPLETED, self._code, up, down)
