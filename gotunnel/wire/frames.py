"""Frames of a control connection and of the first exchange on a leg: a uint32 big-endian length, then that
many bytes. It looks at no payload; what follows on a leg is framed otherwise."""

from __future__ import annotations

from gotunnel.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["LIMIT_AFTER_AUTH", "LIMIT_BEFORE_AUTH", "FrameDecoder", "encode_frame"]

LIMIT_BEFORE_AUTH = 4096
"""The longest payload, in bytes, that a peer may send before it has proved itself."""

LIMIT_AFTER_AUTH = 65536
"""The longest payload, in bytes, of any frame."""

_HEADER = 4


def encode_frame(payload: bytes) -> bytes:
    """Put the length before a payload. Raises LocalProtocolError if it is empty or longer than
    LIMIT_AFTER_AUTH."""
    if not 1 <= len(payload) <= LIMIT_AFTER_AUTH:
        raise LocalProtocolError(f"a frame of {len(payload)} bytes is not between 1 and {LIMIT_AFTER_AUTH}")
    return len(payload).to_bytes(_HEADER, "big") + payload


class FrameDecoder:
    """Cuts received bytes into payloads. After a breach it takes no more bytes and repeats the error.

    `limit` is the longest payload allowed, in bytes, and applies to each header when its frame is asked for:
    set it to LIMIT_AFTER_AUTH once the peer is authenticated.
    """

    def __init__(self, limit: int = LIMIT_BEFORE_AUTH) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._breach: str | None = None

    @property
    def buffered(self) -> int:
        """How many received bytes no `next_frame` has returned yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived, however they are cut."""
        if self._breach is None:
            self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return the next complete payload, or None if more bytes are needed.

        Raises RemoteProtocolError as soon as the header of an empty or a too long frame is there.
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
        # CPython moves the start of a bytearray instead of its content, so this is not quadratic.
        del self._buffer[:end]
        return payload

    def take_leftover(self) -> bytes:
        """Return what has arrived behind the last frame, and forget it: for the protocol that takes over."""
        leftover = bytes(self._buffer)
        self._buffer.clear()
        return leftover
