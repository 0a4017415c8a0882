"""Leg frames: the four-byte headers and the bodies on a leg after its handshake.

It knows nothing of sockets. The order of frames is defined in `legstate`.
"""

from __future__ import annotations

from enum import IntEnum

from gotunnel.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "DONE_FRAME",
    "FIN_FRAME",
    "HEADER_BYTES",
    "KNOWN_HEADERS",
    "MAX_BODY_BYTES",
    "MAX_DATA_BYTES",
    "PROBE_FRAME",
    "LegDecoder",
    "LegFrame",
    "checked_header",
    "data_header",
    "encode_leg_frame",
]

HEADER_BYTES = 4
MAX_DATA_BYTES = (1 << 24) - 1
"""The longest DATA frame, in bytes: the low 24 bits of the header hold its length."""
MAX_BODY_BYTES = 4096
"""The longest JSON body of OPEN, OPENED and RST, in bytes."""


class LegFrame(IntEnum):
    """The type of a leg frame: the high byte of its header. 7 to 15 are reserved."""

    DATA = 0
    FIN = 1
    RST = 2
    OPEN = 3
    OPENED = 4
    DONE = 5
    PROBE = 6


_BODIES = frozenset({LegFrame.RST, LegFrame.OPEN, LegFrame.OPENED})
_TYPES = tuple(LegFrame)


def data_header(length: int) -> bytes:
    """Return the header of a DATA frame of `length` bytes, 1 to MAX_DATA_BYTES."""
    if not 0 < length <= MAX_DATA_BYTES:
        raise LocalProtocolError(f"a DATA frame of {length} bytes")
    return length.to_bytes(4, "big")


def encode_leg_frame(kind: LegFrame, body: bytes = b"") -> bytes:
    """Return one whole frame. Raises LocalProtocolError for a body that the protocol does not allow."""
    limit = MAX_DATA_BYTES if kind is LegFrame.DATA else MAX_BODY_BYTES if kind in _BODIES else 0
    if len(body) > limit or (not body and (kind is LegFrame.DATA or kind in _BODIES)):
        raise LocalProtocolError(f"a {kind.name} frame with a body of {len(body)} bytes")
    return (kind << 24 | len(body)).to_bytes(4, "big") + body


FIN_FRAME = encode_leg_frame(LegFrame.FIN)
DONE_FRAME = encode_leg_frame(LegFrame.DONE)
PROBE_FRAME = encode_leg_frame(LegFrame.PROBE)


KNOWN_HEADERS = {kind << 24: (kind, 0) for kind in LegFrame if kind not in _BODIES and kind is not LegFrame.DATA}
"""Type and length for the headers of frames without a body: each of these types has a single possible header."""


def checked_header(header: int) -> tuple[LegFrame, int]:
    """Return the type and length in a header. Raises RemoteProtocolError if either is not allowed."""
    known = KNOWN_HEADERS.get(header)
    if known is not None:
        return known
    number, length = header >> 24, header & MAX_DATA_BYTES
    if number >= len(_TYPES):
        raise RemoteProtocolError(f"a leg frame of unknown type {number}")
    kind = _TYPES[number]
    if kind is LegFrame.DATA:
        if not length:
            raise RemoteProtocolError("an empty DATA frame")
    elif kind in _BODIES:
        if not 0 < length <= MAX_BODY_BYTES:
            raise RemoteProtocolError(f"a {kind.name} frame with a body of {length} bytes")
    elif length:
        raise RemoteProtocolError(f"a {kind.name} frame with a body of {length} bytes")
    return kind, length


class LegDecoder:
    """Turns received bytes into (type, body) pairs, one per call, so that the caller can stop between two of them.

    DATA is passed on as it arrives: one DATA frame may be returned in several pieces, and none is held back. Other
    bodies are returned whole. The buffer never exceeds the last chunk that was fed plus one body.
    """

    __slots__ = ("_buffer", "_left", "_position")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._left = 0  # bytes of the current DATA frame that have not been returned

    @property
    def buffered(self) -> int:
        """The number of bytes that were fed but not returned yet."""
        return len(self._buffer) - self._position

    @property
    def left(self) -> int:
        """The number of bytes of the current DATA frame that have not been returned yet."""
        return self._left

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer = self._buffer[self._position :] + data if self.buffered else data
        self._position = 0

    def next(self) -> tuple[LegFrame, bytes] | None:
        """Return the next frame, or the next piece of a DATA frame; None if more bytes are needed.

        Raises RemoteProtocolError at a header with a type or length that is not allowed.
        """
        if self._left:
            return self._piece() if self.buffered else None
        if self.buffered < HEADER_BYTES:
            return None
        start = self._position + HEADER_BYTES
        header = int.from_bytes(self._buffer[self._position : start], "big")
        kind, length = checked_header(header)
        if kind is LegFrame.DATA:
            self._position, self._left = start, length
            return self._piece() if self.buffered else None
        if len(self._buffer) < start + length:
            return None
        self._position = start + length
        return kind, self._buffer[start : start + length]

    def _piece(self) -> tuple[LegFrame, bytes]:
        end = min(self._position + self._left, len(self._buffer))
        piece = self._buffer[self._position : end]
        self._left -= len(piece)
        self._position = end
        return LegFrame.DATA, piece
