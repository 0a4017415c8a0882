"""Carries out the acts of the table in `wire.legstate`: sends frames, runs deadlines, calls the leg's owner. `legbase`
has the calls that trigger events, `legbytes` the movement of bytes."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any, NamedTuple

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamTally
from gotunnel.errors import LocalProtocolError, Sentence
from gotunnel.interfaces import ILegOwner
from gotunnel.logs import Logger
from gotunnel.net.deadlines import Deadlines
from gotunnel.net.legbytes import LegBytes, LocalT
from gotunnel.wire.legbodies import OpenedBody, RstBody
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import TABLES, Act, End, Event, State

__all__ = ["ACTS", "BREACH", "BREACH_WORDS", "DATA_STATES", "OPENED", "REACTIONS", "LegActs"]

BREACH = "protocol error: "
"""The prefix of the reason that the owner of a leg gets when the other end broke the protocol."""
BREACH_WORDS = "leg closed: the other end broke the protocol: {reason}"
"""The warning that the owner then logs, at a limited rate: a peer can break legs as fast as it can create them."""
END_TIMEOUT = 5.0
"""Seconds that an RST may stay unflushed (dialler) or without DONE (opener), and that an idle leg may take to close."""

OPENED = encode_leg_frame(LegFrame.OPENED, OpenedBody().encode())


class LegActs(LegBytes[LocalT]):
    """The state of one end of one leg, and its reactions to events."""

    log = Logger()

    def __init__(self, deadlines: Deadlines, end: End, owner: ILegOwner) -> None:
        self.end = end
        self.state = State.IDLE
        self.opens = 0
        self._reactions = REACTIONS[end]
        self._owner = owner
        self._deadlines = deadlines
        self._limited = False  # whether a deadline is running; there is never more than one
        self._delivers, self._discards = DATA_STATES[end]
        self._reason = "closed by this end"
        self._local: LocalT | None = None
        self._tally: StreamTally | None = None  # set while a visitor is served
        self._meter: StreamTally | None = None  # the same object, set once a byte from the leg has been counted
        self._body = b""  # of the OPEN to send, or of the frame last received
        self._rst_code = "reset"
        self._held = False  # nothing is read from the visitor yet, so that it can go elsewhere if the target fails
        self._begins = b""  # bytes to send ahead of the visitor's own, not sent yet

    def happen(self, event: Event) -> None:
        """Apply an event. Raises LocalProtocolError for an event of our own side that this state does not allow."""
        before = self.state
        reaction = self._reactions.get((before, event))
        if reaction is None:
            raise LocalProtocolError(f"{event.name} at the {self.end.value} of a leg that is {before.name}")
        self.state, acts, last = reaction
        for act in acts:
            act(self)
        if last is not None:
            last(self, event, before)

    def give_up(self, reason: str) -> None:
        """Abort the leg and its stream for this reason. Does nothing on a closed leg."""
        if self.state is not State.CLOSED:
            self._reason = reason
            try:
                self.happen(Event.LEG_LOST)
            finally:  # drop the connection even if an owner's callback fails: nobody would read it any more
                self._drop()

    def breach(self, reason: str) -> None:
        """Abort the leg because the other end broke the protocol."""
        if self.state is not State.CLOSED:
            self._breached(reason)
            self.give_up(self._reason)

    # Acts.

    def _send_open(self) -> None:
        self._write(encode_leg_frame(LegFrame.OPEN, self._body))

    def _send_rst(self) -> None:
        self._write(encode_leg_frame(LegFrame.RST, RstBody(self._rst_code).encode()))
        self._start_timer(END_TIMEOUT, self._unended)

    def _dial(self) -> None:
        # A deadline of our last RST is void: the opener has seen the DONE behind that RST.
        if self._limited:
            self._cancel_timer()
        self._tally = StreamTally()
        self.opens += 1
        self._hold()
        self._owner.leg_open(self, self._body)

    def _answered(self) -> None:
        self._cancel_timer()
        held, self._held = self._held, False
        self._owner.leg_answered(self)
        if held and self._local is not None:
            if self._begins:
                self._begin()
            self._read_local(self._local)

    def _begin(self) -> None:
        begins, self._begins = self._begins, b""
        if self._tally is not None:
            self._tally.sent += len(begins)
        self._write(data_header(len(begins)) + begins)

    def _probed(self) -> None:
        self._cancel_timer()
        self._owner.leg_probed(self)

    def _half_close_local(self) -> None:
        if self._local is not None:
            self._half_close(self._local)

    def _finish_local(self) -> None:
        if self._local is not None:
            self._finish(self._local)

    def _idle(self) -> None:
        if self._limited and self.end is End.OPENER:
            self._cancel_timer()
        self._ended()
        if self.state is State.IDLE:  # the owner may have closed the leg when the stream ended
            self._owner.leg_idle(self)

    # The stream.

    @property
    def carried(self) -> tuple[int, int]:
        """See ILeg."""
        return (0, 0) if self._tally is None else self._tally.carried(opener=self.end is End.OPENER)

    def _first_bytes(self) -> StreamTally | None:
        """Start to count the bytes from the leg: return the stream's meter, and tell an opener's owner. Call it only
        while `_meter` is None, so that later bytes skip this."""
        meter = self._meter = self._tally
        if meter is not None and self.end is End.OPENER:
            self._owner.leg_first_byte(self)
        return meter

    def _part(self, *, abort: bool) -> None:
        local, self._local = self._local, None
        if local is not None:
            if abort and local.partner is not None and self._tally is not None:
                local.partner.why = self._tally.passed_on  # before the abort: it tells the partner's leg at once
            self._detach(local, abort=abort and not self._held)

    def _leave_local(self) -> None:
        self._part(abort=False)

    def _stop_stream(self, event: Event, before: State) -> None:
        if self._tally is not None:
            self._note(Outcome.LEG_LOST)
            if self.end is End.DIALLER and before is State.DIALLING:
                self._owner.leg_abandoned(self)
            self._ended()

    def _ended(self) -> None:
        tally, self._tally, self._meter = self._tally, None, None
        if self._local is not None:
            self._leave_local()
        self._held = False
        self._begins = b""
        self._rst_code = "reset"
        if tally is not None:
            self._owner.leg_ended(self, tally.end(opener=self.end is End.OPENER))

    def _note(self, outcome: Outcome, code: str | None = None) -> None:
        if self._tally is not None:
            self._tally.note(outcome, code)

    # Deadlines and aborts.

    def _broke(self, event: Event, before: State) -> None:
        self._breached(Sentence(
            "{value} in state {before}", value=event.name.removeprefix('GOT_'), before=before.name
        ))
        try:
            self._stop_stream(event, before)
        finally:
            self._drop()

    def _unended(self) -> None:
        if self.end is End.OPENER or self._unsent():
            self.give_up("a reset was not acknowledged")

    def _breached(self, reason: str) -> None:
        self._reason = Sentence("protocol error: {reason}", reason=reason)
        self._note(Outcome.PROTOCOL_ERROR)

    def _drop(self) -> None:
        self._cancel_timer()
        self._abort_connection()

    def _start_timer(self, seconds: float, act: Callable[[], None]) -> None:
        if self._limited:
            self._cancel_timer()
        self._limited = True

        def over() -> None:
            self._limited = False
            act()

        self._deadlines.start(self, seconds, over)

    def _cancel_timer(self) -> None:
        if self._limited:
            self._limited = False
            self._deadlines.stop(self)


ACTS: dict[Act, Callable[[LegActs[Any]], None]] = {
    Act.SEND_OPEN: LegActs._send_open,
    Act.SEND_OPENED: methodcaller("_write", OPENED),
    Act.SEND_FIN: methodcaller("_write", FIN_FRAME),
    Act.SEND_RST: LegActs._send_rst,
    Act.SEND_DONE: methodcaller("_write", DONE_FRAME),
    Act.SEND_PROBE: methodcaller("_write", PROBE_FRAME),
    Act.DIAL: LegActs._dial,
    Act.ANSWERED: LegActs._answered,
    Act.PROBED: LegActs._probed,
    Act.HALF_CLOSE: LegActs._half_close_local,
    Act.FINISH_LOCAL: LegActs._finish_local,
    Act.ABORT_LOCAL: lambda leg: leg._part(abort=True),
    Act.IDLE: LegActs._idle,
}
"""The subclass handles DELIVER, DISCARD and SEND_DATA, since they concern bytes; `_broke` handles BREACH."""


class _Reaction(NamedTuple):
    """A row of the table with its acts resolved to functions, prepared once instead of at each event."""

    after: State
    acts: tuple[Callable[[LegActs[Any]], None], ...]
    last: Callable[[LegActs[Any], Event, State], None] | None


def _reaction(event: Event, after: State, acts: tuple[Act, ...]) -> _Reaction:
    last = LegActs._broke if Act.BREACH in acts else LegActs._stop_stream if event is Event.LEG_LOST else None
    return _Reaction(after, tuple(ACTS[act] for act in acts if act in ACTS), last)


def _states(end: End, act: Act) -> frozenset[State]:
    return frozenset(state for (state, event), (_, acts) in TABLES[end].items() if acts == (act,))


REACTIONS = {
    end: {(state, event): _reaction(event, after, acts) for (state, event), (after, acts) in table.items()}
    for end, table in TABLES.items()
}
DATA_STATES = {end: (_states(end, Act.DELIVER), _states(end, Act.DISCARD)) for end in End}
"""For each end, the states in which DATA is passed on, and those in which it is discarded. In all others it is an
event."""
