"""The state machine of a leg as one table: which frames each end may send and receive in each state, and what it does.

All leg state is in this file. It knows nothing of sockets, timers or bytes. The two ends differ: the *opener* has the
visitor, the *dialling* end has the target. "Local" below is the visitor at the opener and the target at the dialling
end. A test walks state × event for both ends, and the two tables against each other.
"""

from __future__ import annotations

from enum import Enum, auto

from gotunnel.wire.legs import LegFrame

__all__ = ["FRAME_EVENTS", "TABLES", "Act", "End", "Event", "State"]


class _Word(Enum):
    """A member of the tables. Its hash is looked up for each frame; an identity hash costs a tenth of Enum's own."""

    __hash__ = object.__hash__


class End(_Word):
    """The role of this end of the leg."""

    OPENER = "opener"
    DIALLER = "dialler"


class State(_Word):
    """The state of one end of a leg. "Sent" and "received" are from our view; a direction is open until it ends."""

    IDLE = auto()  # no visitor
    PROBING = auto()  # opener: PROBE sent, no answer yet
    DIALLING = auto()  # OPEN sent (opener) or received (dialler), no answer yet
    DIALLING_FIN = auto()  # opener: our FIN sent before the answer
    DIALLING_RST = auto()  # opener: our RST sent before the answer
    STREAMING = auto()  # both directions open
    FIN_SENT = auto()  # our direction ended, theirs open
    FIN_RECEIVED = auto()  # their direction ended, ours open
    RST_SENT = auto()  # our direction ended with RST, theirs open: incoming data is discarded
    FINISHED = auto()  # both ended with FIN; opener: awaits DONE; dialler: the target is still taking its last bytes
    ABORTED = auto()  # opener: ours ended with RST, theirs with FIN; awaits DONE, and an RST may still come
    RESET = auto()  # opener: theirs ended with RST and ours has ended; awaits DONE
    CLOSED = auto()  # the leg's connection has closed


class Event(_Word):
    """An input to the state machine: a frame that arrived, or an event on our own side."""

    GOT_DATA = auto()
    GOT_FIN = auto()
    GOT_RST = auto()
    GOT_OPEN = auto()
    GOT_OPENED = auto()
    GOT_DONE = auto()
    GOT_PROBE = auto()
    START = auto()  # opener: serve a visitor
    PROBE = auto()  # opener: probe an idle leg before use
    DIALLED = auto()  # dialler: the target accepted
    DIAL_FAILED = auto()  # dialler: the target could not be reached
    LOCAL_DATA = auto()  # the local socket delivered bytes
    LOCAL_EOF = auto()  # the local socket ended its direction cleanly
    LOCAL_LOST = auto()  # the local socket was reset, or is to be reset
    LOCAL_CLOSED = auto()  # the local socket took its last byte and closed cleanly
    LEG_LOST = auto()  # the leg's connection was lost, or is to be closed


class Act(_Word):
    """An action of the relay in response to an event. Actions run in the order given."""

    SEND_OPEN = auto()
    SEND_OPENED = auto()
    SEND_DATA = auto()
    SEND_FIN = auto()
    SEND_RST = auto()
    SEND_DONE = auto()
    SEND_PROBE = auto()
    DELIVER = auto()  # pass DATA to the local socket
    DISCARD = auto()  # drop DATA
    DIAL = auto()  # connect to the target
    ANSWERED = auto()  # report that the target accepted
    PROBED = auto()  # report that the leg works
    HALF_CLOSE = auto()  # end the local socket's sending direction once its bytes are written
    FINISH_LOCAL = auto()  # write the remaining bytes, close the local socket cleanly, then raise LOCAL_CLOSED
    ABORT_LOCAL = auto()  # reset the local socket, or cancel its dial
    IDLE = auto()  # the leg is free for the next visitor
    BREACH = auto()  # the peer violated the protocol: abort the leg's connection


FRAME_EVENTS = {
    LegFrame.DATA: Event.GOT_DATA,
    LegFrame.FIN: Event.GOT_FIN,
    LegFrame.RST: Event.GOT_RST,
    LegFrame.OPEN: Event.GOT_OPEN,
    LegFrame.OPENED: Event.GOT_OPENED,
    LegFrame.DONE: Event.GOT_DONE,
    LegFrame.PROBE: Event.GOT_PROBE,
}

Row = tuple[State, tuple[Act, ...]]
Table = dict[tuple[State, Event], Row]

_S, _E, _A = State, Event, Act

_OPENER: dict[State, dict[Event, Row]] = {
    _S.IDLE: {
        _E.START: (_S.DIALLING, (_A.SEND_OPEN,)),
        _E.PROBE: (_S.PROBING, (_A.SEND_PROBE,)),
    },
    _S.PROBING: {_E.GOT_PROBE: (_S.IDLE, (_A.PROBED,))},
    _S.DIALLING: {
        _E.LOCAL_DATA: (_S.DIALLING, (_A.SEND_DATA,)),
        _E.LOCAL_EOF: (_S.DIALLING_FIN, (_A.SEND_FIN,)),
        _E.LOCAL_LOST: (_S.DIALLING_RST, (_A.SEND_RST,)),
        _E.GOT_OPENED: (_S.STREAMING, (_A.ANSWERED,)),
        _E.GOT_RST: (_S.RESET, (_A.ABORT_LOCAL, _A.SEND_RST)),
    },
    _S.DIALLING_FIN: {
        _E.LOCAL_LOST: (_S.DIALLING_RST, (_A.SEND_RST,)),
        _E.GOT_OPENED: (_S.FIN_SENT, (_A.ANSWERED,)),
        _E.GOT_RST: (_S.RESET, (_A.ABORT_LOCAL,)),
    },
    _S.DIALLING_RST: {
        _E.GOT_OPENED: (_S.RST_SENT, ()),
        _E.GOT_RST: (_S.RESET, ()),
    },
    _S.STREAMING: {
        _E.LOCAL_DATA: (_S.STREAMING, (_A.SEND_DATA,)),
        _E.LOCAL_EOF: (_S.FIN_SENT, (_A.SEND_FIN,)),
        _E.LOCAL_LOST: (_S.RST_SENT, (_A.SEND_RST,)),
        _E.GOT_DATA: (_S.STREAMING, (_A.DELIVER,)),
        _E.GOT_FIN: (_S.FIN_RECEIVED, (_A.HALF_CLOSE,)),
        _E.GOT_RST: (_S.RESET, (_A.ABORT_LOCAL, _A.SEND_RST)),
    },
    _S.FIN_SENT: {
        _E.LOCAL_LOST: (_S.RST_SENT, (_A.SEND_RST,)),
        _E.GOT_DATA: (_S.FIN_SENT, (_A.DELIVER,)),
        _E.GOT_FIN: (_S.FINISHED, (_A.FINISH_LOCAL,)),
        _E.GOT_RST: (_S.RESET, (_A.ABORT_LOCAL,)),
    },
    _S.FIN_RECEIVED: {
        _E.LOCAL_DATA: (_S.FIN_RECEIVED, (_A.SEND_DATA,)),
        _E.LOCAL_EOF: (_S.FINISHED, (_A.SEND_FIN, _A.FINISH_LOCAL)),
        _E.LOCAL_LOST: (_S.ABORTED, (_A.SEND_RST,)),
        _E.GOT_RST: (_S.RESET, (_A.ABORT_LOCAL, _A.SEND_RST)),
    },
    _S.RST_SENT: {
        _E.GOT_DATA: (_S.RST_SENT, (_A.DISCARD,)),
        _E.GOT_FIN: (_S.ABORTED, ()),
        _E.GOT_RST: (_S.RESET, ()),
    },
    _S.FINISHED: {
        _E.LOCAL_LOST: (_S.ABORTED, (_A.SEND_RST,)),
        _E.LOCAL_CLOSED: (_S.FINISHED, ()),
        _E.GOT_RST: (_S.RESET, (_A.ABORT_LOCAL,)),
        _E.GOT_DONE: (_S.IDLE, (_A.IDLE,)),
    },
    _S.ABORTED: {
        _E.GOT_RST: (_S.RESET, ()),
        _E.GOT_DONE: (_S.IDLE, (_A.IDLE,)),
    },
    _S.RESET: {_E.GOT_DONE: (_S.IDLE, (_A.IDLE,))},
    _S.CLOSED: {},
}

_DIALLER: dict[State, dict[Event, Row]] = {
    _S.IDLE: {
        _E.GOT_OPEN: (_S.DIALLING, (_A.DIAL,)),
        _E.GOT_PROBE: (_S.IDLE, (_A.SEND_PROBE,)),
        # The opener's RST may cross our DONE: it refers to the visitor that has already finished.
        _E.GOT_RST: (_S.IDLE, ()),
    },
    # This end reads no frames while it dials.
    _S.DIALLING: {
        _E.DIALLED: (_S.STREAMING, (_A.SEND_OPENED,)),
        _E.DIAL_FAILED: (_S.RST_SENT, (_A.SEND_RST,)),
    },
    _S.STREAMING: {
        _E.LOCAL_DATA: (_S.STREAMING, (_A.SEND_DATA,)),
        _E.LOCAL_EOF: (_S.FIN_SENT, (_A.SEND_FIN,)),
        _E.LOCAL_LOST: (_S.RST_SENT, (_A.SEND_RST,)),
        _E.GOT_DATA: (_S.STREAMING, (_A.DELIVER,)),
        _E.GOT_FIN: (_S.FIN_RECEIVED, (_A.HALF_CLOSE,)),
        _E.GOT_RST: (_S.IDLE, (_A.ABORT_LOCAL, _A.SEND_RST, _A.SEND_DONE, _A.IDLE)),
    },
    _S.FIN_SENT: {
        _E.LOCAL_LOST: (_S.RST_SENT, (_A.SEND_RST,)),
        _E.GOT_DATA: (_S.FIN_SENT, (_A.DELIVER,)),
        _E.GOT_FIN: (_S.FINISHED, (_A.FINISH_LOCAL,)),
        _E.GOT_RST: (_S.IDLE, (_A.ABORT_LOCAL, _A.SEND_DONE, _A.IDLE)),
    },
    _S.FIN_RECEIVED: {
        _E.LOCAL_DATA: (_S.FIN_RECEIVED, (_A.SEND_DATA,)),
        _E.LOCAL_EOF: (_S.FINISHED, (_A.SEND_FIN, _A.FINISH_LOCAL)),
        _E.LOCAL_LOST: (_S.IDLE, (_A.SEND_RST, _A.SEND_DONE, _A.IDLE)),
        _E.GOT_RST: (_S.IDLE, (_A.ABORT_LOCAL, _A.SEND_RST, _A.SEND_DONE, _A.IDLE)),
    },
    _S.RST_SENT: {
        _E.GOT_DATA: (_S.RST_SENT, (_A.DISCARD,)),
        _E.GOT_FIN: (_S.IDLE, (_A.SEND_DONE, _A.IDLE)),
        _E.GOT_RST: (_S.IDLE, (_A.SEND_DONE, _A.IDLE)),
    },
    _S.FINISHED: {
        _E.LOCAL_CLOSED: (_S.IDLE, (_A.SEND_DONE, _A.IDLE)),
        _E.LOCAL_LOST: (_S.IDLE, (_A.SEND_RST, _A.SEND_DONE, _A.IDLE)),
        _E.GOT_RST: (_S.IDLE, (_A.ABORT_LOCAL, _A.SEND_DONE, _A.IDLE)),
    },
    _S.CLOSED: {},
}


def _completed(rows: dict[State, dict[Event, Row]]) -> Table:
    """Add the rules for all states: an unexpected frame is a breach, and a lost leg resets its visitor."""
    table: Table = {}
    breach: Row = (State.CLOSED, (Act.ABORT_LOCAL, Act.BREACH))
    for state, events in rows.items():
        if state is not State.CLOSED:
            table.update({(state, event): breach for event in FRAME_EVENTS.values()})
            table[state, Event.LEG_LOST] = (State.CLOSED, (Act.ABORT_LOCAL,))
        table.update({(state, event): row for event, row in events.items()})
    return table


TABLES: dict[End, Table] = {End.OPENER: _completed(_OPENER), End.DIALLER: _completed(_DIALLER)}
"""(state, event) → (next state, acts) for each end. A missing pair can only occur through a bug."""
