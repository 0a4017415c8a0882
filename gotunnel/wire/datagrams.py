"""Reassembles datagrams from a leg: each DATA frame carries one datagram but may arrive in several pieces.

It knows nothing of sockets or frame headers.
"""

from __future__ import annotations

__all__ = ["MOST_DATAGRAM", "Assembly"]

MOST_DATAGRAM = 65_507
"""The longest datagram in bytes: 65,535 less the IPv4 and UDP headers. IPv6 would allow 20 more."""


class Assembly:
    """Collects the frame of one flow that is being received. Holds at most one datagram."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: memoryview | bytes, ends: bool) -> bytes | None:
        """Add the next piece of the frame; `ends` is True for its last piece.

        Returns the datagram if the frame is complete, otherwise None. Returns b"" for a frame that is longer than any
        datagram; its content is discarded.
        """
        size = self._size + len(piece)
        if size <= MOST_DATAGRAM:
            if ends and not self._size:
                return bytes(piece)
            self._pieces.append(bytes(piece))  # a copy, because the caller reuses the buffer
        else:
            self._pieces.clear()
        self._size = 0 if ends else size
        if not ends:
            return None
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
