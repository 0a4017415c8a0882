"""What may be said to a leg, by its owner and by whoever moves its bytes. What follows from it is in `legacts`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import LEFT, StreamTally, outcome_of_cut, outcome_of_reset
from gotunnel.errors import LocalProtocolError, RemoteProtocolError, Sentence
from gotunnel.interfaces import ILegOwner
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.legacts import END_TIMEOUT, LegActs
from gotunnel.net.legbytes import LocalT
from gotunnel.wire.legbodies import OpenedBody, RstBody
from gotunnel.wire.legs import LegFrame
from gotunnel.wire.legstate import FRAME_EVENTS, End, Event, State

__all__ = ["LegBase"]

PROBE_TIMEOUT = 2.0
"""Seconds within which a PROBE comes back, or the leg is given up."""
ANSWER_GRACE = 5.0
"""Seconds that an opener waits for OPENED or RST beyond the dial timeout."""
MOST_UNSENT = 8192
"""Bytes that may be queued here when the other end says that it has seen all we sent: an RST that crosses its DONE, and
TLS's own records. More proves that it has not, and an end that never reads would make us queue without limit."""
MOST_QUEUED = 2 << 20
"""Bytes that may be queued here in all. What we send ourselves is never so much at a time, 16 datagrams included. But
TLS answers by itself when the other end wants new keys; one that wants them on and on, and reads nothing, would make
us queue without limit."""

_UNANSWERED = (State.DIALLING, State.DIALLING_FIN)


class LegBase(LegActs[LocalT]):
    """One end of one leg; a subclass provides the verbs of `LegBytes`."""

    def __init__(
        self,
        clock: IReactorTime,
        deadlines: Deadlines,
        end: End,
        owner: ILegOwner,
        plain: bool,
        dial_timeout: float,
    ) -> None:
        super().__init__(deadlines, end, owner)
        self._clock = clock
        self.plain = plain
        self.tag: Any = None
        self.last_received = clock.seconds()
        self._answer_timeout = dial_timeout + ANSWER_GRACE
        self._seen_closing = False

    # What the owner calls (see ILeg).

    def open(self, local: LocalT, body: bytes, held: bool = False, begins: bytes = b"") -> None:
        """Serve a visitor."""
        self._body = body
        self.happen(Event.START)
        self._held = held
        self._tally = StreamTally()
        if begins:
            self._begins = begins
            if not held:
                self._begin()
        self._local = local
        self.opens += 1
        self._start_timer(self._answer_timeout, self._unanswered)
        self._attach(local)

    def probe(self) -> None:
        """Ask whether the leg lives."""
        self.happen(Event.PROBE)
        self._start_timer(PROBE_TIMEOUT, lambda: self.give_up("no answer to a probe"))

    def accept(self, local: LocalT, awaited: bool = False) -> None:
        """The target answered."""
        self.happen(Event.DIALLED)
        self._local = local
        self._attach(local)
        self._go_on()

    def refuse(self, code: str) -> None:
        """The target did not answer."""
        if self.state is not State.DIALLING:
            raise LocalProtocolError(f"refused on a leg that is {self.state.name}")
        self._note(Outcome.REFUSED, code)
        self._rst_code = code
        self.happen(Event.DIAL_FAILED)
        self._go_on()

    def reset(self, code: str) -> None:
        """Reset what streams."""
        self._held = False  # who is reset is given to nobody else
        if self._local is not None:
            self._note(outcome_of_cut(code), code)
            self._rst_code = code
            self._part(abort=True)
            self.happen(Event.LOCAL_LOST)

    def close(self) -> None:
        """Close the leg: an idle one in order; otherwise what streams is reset."""
        if self.state is State.IDLE:
            self.happen(Event.LEG_LOST)
            self._start_timer(END_TIMEOUT, self._abort_connection)
            self._close_connection()
        else:
            self._note(Outcome.STOPPED)
            self.give_up(self._reason)

    # What the subclass tells.

    def lost(self, reason: str) -> None:
        """The leg's connection is gone."""
        if self.state is not State.CLOSED:
            self._reason = reason
            self.happen(Event.LEG_LOST)
        self._cancel_timer()
        self._owner.leg_lost(self, self._reason)

    def _closes_by_itself(self) -> bool:
        """The connection is being closed, in order, at the other end's wish: whether it is to be left alone. Only an
        idle leg is; and where bytes are unsent at a second look, they may never leave."""
        seen, self._seen_closing = self._seen_closing, True
        return self.state is State.IDLE and not (seen and self._unsent())

    def _check_queue(self) -> None:
        if self._unsent() > MOST_QUEUED:
            self.breach("it wants answers of TLS and reads none")

    def local_eof(self) -> None:
        """The local socket ended its direction."""
        self.happen(Event.LOCAL_EOF)

    def local_lost(self) -> None:
        """The local socket was reset."""
        local, self._local = self._local, None
        code = None if local is None else local.why
        if code is None and self.end is End.OPENER and self.state in _UNANSWERED:
            code = LEFT
        default = Outcome.RESET_BY_TARGET if self.end is End.DIALLER else Outcome.RESET_BY_VISITOR
        outcome = default if code is None else outcome_of_reset(code, default)
        self._note(outcome, None if outcome in (default, Outcome.VISITOR_LEFT) else code)
        if code is not None:
            self._rst_code = code
        self.happen(Event.LOCAL_LOST)

    def local_closed(self) -> None:
        """The local socket finished in order."""
        self._local = None
        self.happen(Event.LOCAL_CLOSED)

    def receive(self, kind: LegFrame, body: bytes) -> None:
        """A frame other than DATA arrived. Raises RemoteProtocolError for a bad one."""
        if kind is LegFrame.RST:
            self._note_rst(RstBody.decode(body).code)
        elif kind is LegFrame.OPENED:
            OpenedBody.decode(body)
        elif kind is not LegFrame.FIN and self._unsent() > MOST_UNSENT:
            # OPEN, PROBE and DONE all say: what you sent has arrived.
            raise RemoteProtocolError(Sentence(
                "{kind} while much of what it answers is unsent", kind=kind.name
            ))
        self._body = body
        self.happen(FRAME_EVENTS[kind])
        if self._held and kind is LegFrame.RST:
            self._ended()  # he need not wait until the leg is idle

    def _note_rst(self, code: str) -> None:
        if self.end is End.DIALLER:
            self._note(outcome_of_reset(code, Outcome.RESET_BY_VISITOR), code)
        elif self.state in _UNANSWERED:
            self._cancel_timer()  # this is the answer
            self._note(Outcome.REFUSED, code)
        else:
            self._note(outcome_of_reset(code, Outcome.RESET_BY_TARGET), code)

    def _late(self) -> None:
        self._limited = False
        self._unanswered()

    def _unanswered(self) -> None:
        self._note(Outcome.DIAL_TIMEOUT)
        self.give_up("no answer to an OPEN")
