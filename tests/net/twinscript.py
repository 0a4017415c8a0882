"""Frames that the other end of a leg may send: mostly those that the contract expects, and sometimes the worst."""

from __future__ import annotations

from random import Random

from gotunnel.wire.legbodies import OpenedBody, RstBody
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, LegFrame, data_header, encode_leg_frame
from gotunnel.wire.legstate import FRAME_EVENTS, TABLES, Act, End, Event, State

__all__ = ["frames"]

FIXED = {
    LegFrame.FIN: FIN_FRAME, LegFrame.DONE: DONE_FRAME, LegFrame.PROBE: PROBE_FRAME,
    LegFrame.OPEN: encode_leg_frame(LegFrame.OPEN, b'{"a visitor":1}'),
    LegFrame.OPENED: encode_leg_frame(LegFrame.OPENED, OpenedBody().encode()),
}  # fmt: skip
BAD = (
    b"\0\0\0\0", b"\x07\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\x01x", b"\x05\0\0\x01", b"\x02\0\0\0",
    b"\x03\0\x10\x01",
    encode_leg_frame(LegFrame.OPENED, b"[]"), encode_leg_frame(LegFrame.RST, b"{}"), b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip
CODES = ("reset", "refused", "timeout", "visitor_left", "going_away", "kicked")
SIZES = (1, 2, 40, 1_000, 9_000, 33_000, 70_000, 300_000)


def frames(chance: Random, end: End, state: State) -> bytes:
    """Return some, for an end that is in this state."""
    sent = b""
    while True:
        if chance.random() < 0.007:
            return sent + chance.choice(BAD) + chance.choice((b"", PROBE_FRAME, data_header(5) + b"fifth"))
        if chance.random() < 0.007:
            return sent + _frame(chance, chance.choice(tuple(LegFrame)))
        if state is State.DIALLING and end is End.DIALLER:
            state = TABLES[end][state, Event.DIALLED][0]
        expected = [kind for kind, event in FRAME_EVENTS.items() if _expected(end, state, event)]
        if not expected:
            return sent
        kind = chance.choice(expected)
        for usual in (LegFrame.OPENED, LegFrame.FIN, LegFrame.DATA):
            if usual in expected and chance.random() < 0.6:
                kind = usual
        sent += _frame(chance, kind)
        state = TABLES[end][state, FRAME_EVENTS[kind]][0]
        if kind is LegFrame.DONE:
            return sent + (PROBE_FRAME if chance.random() < 0.05 else b"")
        if chance.random() > 0.6:
            return sent


def _expected(end: End, state: State, event: Event) -> bool:
    row = TABLES[end].get((state, event))
    return row is not None and Act.BREACH not in row[1]


def _frame(chance: Random, kind: LegFrame) -> bytes:
    if kind is LegFrame.DATA:
        return b"".join(
            data_header(size) + chance.randbytes(size)
            for size in chance.choices(SIZES, (9, 9, 9, 9, 5, 3, 2, 1), k=chance.choice((1, 1, 2, 5)))
        ) + (b"" if chance.random() < 0.97 else b"".join(data_header(1) + b"x" for _ in range(150)))
    if kind is LegFrame.RST:
        return encode_leg_frame(kind, RstBody(chance.choice(CODES)).encode())
    return FIXED[kind]
