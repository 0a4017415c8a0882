"""The events of a leg: the calls that its owner and its byte-moving subclass make. `legacts` holds the consequences."""

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
"""Seconds to wait for the answer to a PROBE before giving up the leg."""
ANSWER_GRACE = 5.0
"""Seconds that an opener waits for OPENED or RST, in addition to the dial timeout."""
MOST_UNSENT = 8192
"""Bytes that may still be queued here when the other end confirms that everything we sent has arrived: an RST that
crosses its DONE, and TLS's own records. More than that proves the confirmation false, and an end that never reads would
make us queue without limit."""
MOST_QUEUED = 2 << 20
"""Bytes that may be queued here in all. Our own data never reaches this limit, not even with 16 datagrams. But TLS
answers each key update by itself, so a peer that keeps requesting new keys and reads nothing would make us queue
without limit."""

_UNANSWERED = (State.DIALLING, State.DIALLING_FIN)


class LegBase(LegActs[LocalT]):
    """One end of one leg. A subclass implements the abstract methods of `LegBytes`."""

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

    # Called by the owner (see ILeg).

    def open(self, local: LocalT, body: bytes, held: bool = False, begins: bytes = b"") -> None:
        """Serve a visitor. `begins` is sent ahead of its own bytes. With `held` nothing is read from it until the
        target has answered."""
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
        """Test whether the leg is alive."""
        self.happen(Event.PROBE)
        self._start_timer(PROBE_TIMEOUT, lambda: self.give_up("no answer to a probe"))

    def accept(self, local: LocalT, awaited: bool = False) -> None:
        """Join the target, which has answered."""
        self.happen(Event.DIALLED)
        self._local = local
        self._attach(local)
        self._go_on()

    def refuse(self, code: str) -> None:
        """Tell the opener that the target did not answer. Raises LocalProtocolError unless the leg is dialling."""
        if self.state is not State.DIALLING:
            raise LocalProtocolError(f"refused on a leg that is {self.state.name}")
        self._note(Outcome.REFUSED, code)
        self._rst_code = code
        self.happen(Event.DIAL_FAILED)
        self._go_on()

    def reset(self, code: str) -> None:
        """Reset the current stream, if there is one. `code` goes into the RST."""
        self._held = False  # a visitor that is reset is not given to another server or target
        if self._local is not None:
            self._note(outcome_of_cut(code), code)
            self._rst_code = code
            self._part(abort=True)
            self.happen(Event.LOCAL_LOST)

    def close(self) -> None:
        """Close the leg: in order if it is idle; otherwise reset its stream and abort it."""
        if self.state is State.IDLE:
            self.happen(Event.LEG_LOST)
            self._start_timer(END_TIMEOUT, self._abort_connection)
            self._close_connection()
        else:
            self._note(Outcome.STOPPED)
            self.give_up(self._reason)

    # Called by the subclass.

    def lost(self, reason: str) -> None:
        """Note that the leg's connection has closed, and tell the owner."""
        if self.state is not State.CLOSED:
            self._reason = reason
            self.happen(Event.LEG_LOST)
        self._cancel_timer()
        self._owner.leg_lost(self, self._reason)

    def _closes_by_itself(self) -> bool:
        """Return whether to leave the connection alone while it closes in order at the other end's request. This holds
        only for an idle leg, and not if bytes are still unsent at a second look: they may never leave."""
        seen, self._seen_closing = self._seen_closing, True
        return self.state is State.IDLE and not (seen and self._unsent())

    def _check_queue(self) -> None:
        if self._unsent() > MOST_QUEUED:
            self.breach("it wants answers of TLS and reads none")

    def local_eof(self) -> None:
        """The local socket has ended its sending direction."""
        self.happen(Event.LOCAL_EOF)

    def local_lost(self) -> None:
        """The local socket has been reset."""
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
        """The local socket has been closed in order, with all its bytes taken."""
        self._local = None
        self.happen(Event.LOCAL_CLOSED)

    def receive(self, kind: LegFrame, body: bytes) -> None:
        """Handle a frame other than DATA. Raises RemoteProtocolError for an invalid one."""
        if kind is LegFrame.RST:
            self._note_rst(RstBody.decode(body).code)
        elif kind is LegFrame.OPENED:
            OpenedBody.decode(body)
        elif kind is not LegFrame.FIN and self._unsent() > MOST_UNSENT:
            # OPEN, PROBE and DONE all confirm that everything we sent has arrived.
            raise RemoteProtocolError(Sentence(
                "{kind} while much of what it answers is unsent", kind=kind.name
            ))
        self._body = body
        self.happen(FRAME_EVENTS[kind])
        if self._held and kind is LegFrame.RST:
            self._ended()  # a held visitor can go elsewhere now; it need not wait until the leg is idle

    def _note_rst(self, code: str) -> None:
        if self.end is End.DIALLER:
            self._note(outcome_of_reset(code, Outcome.RESET_BY_VISITOR), code)
        elif self.state in _UNANSWERED:
            self._cancel_timer()  # the RST is the answer to the OPEN
            self._note(Outcome.REFUSED, code)
        else:
            self._note(outcome_of_reset(code, Outcome.RESET_BY_TARGET), code)

    def _late(self) -> None:
        self._limited = False
        self._unanswered()

    def _unanswered(self) -> None:
        self._note(Outcome.DIAL_TIMEOUT)
        self.give_up("no answer to an OPEN")
