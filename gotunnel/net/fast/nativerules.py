"""Gives the compiled part of the fast relay what it needs from Python: the state table of legs, whose only source is
`wire.legstate`, and the methods for rare cases."""

from __future__ import annotations

import ssl
from socket import SocketType
from typing import Any

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd, StreamTally
from gotunnel.errors import RemoteProtocolError
from gotunnel.net.fast import _native
from gotunnel.net.fast.leg import FastLeg
from gotunnel.net.fast.sending import SendingLeg
from gotunnel.net.legacts import ACTS, DATA_STATES, OPENED, REACTIONS, LegActs
from gotunnel.net.quiet import nothing
from gotunnel.wire.legbodies import OpenedBody
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, LegFrame
from gotunnel.wire.legstate import FRAME_EVENTS, TABLES, Act, End, Event, State
from gotunnel.wire.openform import FORM

__all__ = ["learn"]

PYTHON, WRITE, OPEN, DIAL, ANSWERED, HALF_CLOSE, FINISH, IDLE = range(8)
"""How an act is carried out: ActKind of native.h."""
_COMPILED: dict[Act, tuple[int, Any]] = {
    Act.SEND_OPEN: (OPEN, None),
    Act.SEND_OPENED: (WRITE, OPENED),
    Act.SEND_FIN: (WRITE, FIN_FRAME),
    Act.SEND_DONE: (WRITE, DONE_FRAME),
    Act.SEND_PROBE: (WRITE, PROBE_FRAME),
    Act.DIAL: (DIAL, None),
    Act.ANSWERED: (ANSWERED, None),
    Act.HALF_CLOSE: (HALF_CLOSE, None),
    Act.FINISH_LOCAL: (FINISH, None),
    Act.IDLE: (IDLE, None),
}
"""All other acts are carried out in Python."""
_ENDS, _STATES, _EVENTS, _FRAMES = tuple(End), tuple(State), tuple(Event), tuple(LegFrame)


class NativeTally(_native.Tally):
    """See StreamTally."""

    __slots__ = ()

    note = StreamTally.note
    passed_on = StreamTally.passed_on
    carried = StreamTally.carried


def _rows() -> list[Any]:
    rows = []
    for end, table in TABLES.items():
        for (state, event), (after, acts) in table.items():
            done = tuple(_COMPILED.get(act, (PYTHON, ACTS.get(act))) for act in acts if act in ACTS)
            last = REACTIONS[end][state, event].last
            rows.append(
                (_ENDS.index(end), _STATES.index(state), _EVENTS.index(event), _STATES.index(after), done, last)
            )
    return rows


def _set(states: frozenset[State]) -> int:
    return sum(1 << _STATES.index(state) for state in states)


def learn() -> None:
    """Pass the rules to the extension, and let it encode, decode and prove each OPEN from now on. Called once per
    process."""
    numbers = (
        _STATES.index(State.CLOSED),
        _STATES.index(State.IDLE),
        _STATES.index(State.STREAMING),
        _EVENTS.index(Event.LOCAL_EOF),
        _EVENTS.index(Event.LOCAL_CLOSED),
        _EVENTS.index(Event.GOT_DATA),
        _EVENTS.index(Event.START),
        _EVENTS.index(Event.DIALLED),
        *(_set(DATA_STATES[end][kind]) for kind in (0, 1) for end in _ENDS),
        *(_EVENTS.index(FRAME_EVENTS[frame]) for frame in _FRAMES),
    )
    _native.learn({
        "rows": _rows(), "numbers": numbers,
        "states": _STATES, "events": _EVENTS, "ends": _ENDS, "frames": _FRAMES,
        "breach": RemoteProtocolError, "opened": OpenedBody().encode(), "tally": NativeTally,
        "stream_end": StreamEnd, "completed": Outcome.COMPLETED,
        "happen": LegActs.happen, "answered": LegActs._answered, "local_readable": FastLeg.local_readable,
        "ssl_want_read": ssl.SSLWantReadError, "ssl_zero": ssl.SSLZeroReturnError, "ssl_error": ssl.SSLError,
        "open": SendingLeg.open, "attach": FastLeg._attach, "ignore": nothing, "socket_type": SocketType,
    })  # fmt: skip
    FORM.write, FORM.read, FORM.prove = _native.write_open, _native.read_open, _native.prove_open
