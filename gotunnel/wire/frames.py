"""Frames of a control connection and of a leg's handshake: a uint32 big-endian length, then the payload.

Payloads are not interpreted. After its handshake a leg uses a different framing, see `legs`.
"""

from __future__ import annotations

from gotunnel.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["LIMIT_AFTER_AUTH", "LIMIT_BEFORE_AUTH", "FrameDecoder", "encode_frame"]

LIMIT_BEFORE_AUTH = 4096
"""The longest payload, in bytes, that an unauthenticated peer may send."""

LIMIT_AFTER_AUTH = 65536
"""The longest payload, in bytes, of any frame."""

_HEADER = 4


def encode_frame(payload: bytes) -> bytes:
    """Prefix a payload with its length. Raises LocalProtocolError if it is empty or longer than LIMIT_AFTER_AUTH."""
    if not 1 <= len(payload) <= LIMIT_AFTER_AUTH:
        raise LocalProtocolError(f"a frame of {len(payload)} bytes is not between 1 and {LIMIT_AFTER_AUTH}")
    return len(payload).to_bytes(_HEADER, "big") + payload


class FrameDecoder:
    """Splits received bytes into payloads. After a protocol error it discards all input and repeats the error.

    `limit` is the longest payload allowed, in bytes. It is checked in `next_frame`, so it can change between frames:
    set it to LIMIT_AFTER_AUTH once the peer is authenticated.
    """

    def __init__(self, limit: int = LIMIT_BEFORE_AUTH) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._breach: str | None = None

    @property
    def buffered(self) -> int:
        """The number of received bytes that `next_frame` has not returned yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add received bytes, in chunks of any size."""
        if self._breach is None:
            self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return the next complete payload, or None if more bytes are needed.

        Raises RemoteProtocolError as soon as the header of an empty or oversized frame has arrived.
        """
        if self._breach is not None:
            raise RemoteProtocolError(self._breach)
        if len(self._buffer) < _HEADER:
            return None
        length = int.from_bytes(self._buffer[:_HEADER], "big")
        if not 1 <= length <= self.limit:
            self._breach = f"a frame of {length} bytes is not between 1 and {self.limit}"
            self._buffer.clear()
            raise RemoteProtocolError(self._breach)
        end = _HEADER + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_HEADER:end])
        # CPython advances the start of a bytearray without moving its content, so this is not quadratic.
        del self._buffer[:end]
        return payload

    def take_leftover(self) -> bytes:
        """Return and clear the bytes after the last frame, for the protocol that takes over the connection."""
        leftover = bytes(self._buffer)
        self._buffer.clear()
        return leftover
