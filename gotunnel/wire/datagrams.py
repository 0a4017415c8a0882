"""Datagrams on a leg: one DATA frame is one datagram, and a frame arrives in whatever pieces the connection brings.
Here they become whole again. Knows no sockets and no header of a frame."""

from __future__ import annotations

__all__ = ["MOST_DATAGRAM", "Assembly"]

MOST_DATAGRAM = 65_507
"""Bytes of the longest datagram: what IPv4 leaves of 65,535 for what is in UDP. IPv6 would take 20 more."""


class Assembly:
    """The frame of one flow that is arriving. It never holds more than one datagram."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: memoryview | bytes, ends: bool) -> bytes | None:
        """Take the next piece; `ends` says whether its frame is complete with it. Return the datagram then, None before
        that; b"" for a frame that is longer than any datagram: none of it is kept."""
        size = self._size + len(piece)
        if size <= MOST_DATAGRAM:
            if ends and not self._size:
                return bytes(piece)
            self._pieces.append(bytes(piece))  # the buffer that it lies in is used again
        else:
            self._pieces.clear()
        self._size = 0 if ends else size
        if not ends:
            return None
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
