"""Reads the server name from the ClientHello of a TLS connection, so that it can be routed before TLS starts.

It verifies nothing: anything that is not a ClientHello is left for TLS to refuse.
"""

from __future__ import annotations

__all__ = ["MOST", "server_name"]

MOST = 16384 + 5
"""The size in bytes of the largest TLS record with its header. A longer ClientHello is not examined."""

_RECORD_HEADER = 5  # type, version, length (RFC 8446, 5.1)
_SNI = 0  # extension type (RFC 6066, 3)
_HOST_NAME = 0


class _Reader:
    """Reads integers and length-prefixed vectors from the front of `data`. Raises IndexError if it is too short."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise IndexError
        taken, self.at = self.data[self.at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def server_name(data: bytes) -> tuple[bool, str | None]:
    """Return (enough, name) for `data`, the first bytes of a connection.

    `enough` is False if more bytes are needed to decide. `name` is None if there is no server name. The layout is that
    of RFC 8446, section 4.1.2.
    """
    if len(data) < _RECORD_HEADER:
        return False, None
    length = int.from_bytes(data[3:5], "big")
    if data[0] != 0x16 or length > MOST - _RECORD_HEADER:
        return True, None
    if len(data) < _RECORD_HEADER + length:
        return False, None
    try:
        return True, _name(data[_RECORD_HEADER : _RECORD_HEADER + length])
    except (IndexError, UnicodeDecodeError):
        return True, None  # split over several records, or malformed


def _name(record: bytes) -> str | None:
    hello = _Reader(record)
    if hello.number(1) != 1:  # handshake type client_hello
        return None
    body = _Reader(hello.vector(3))
    body.take(2 + 32)  # legacy_version, random
    body.vector(1)  # legacy_session_id
    body.vector(2)  # cipher_suites
    body.vector(1)  # legacy_compression_methods
    extensions = _Reader(body.vector(2))
    while extensions.at < len(extensions.data):
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SNI:
            names = _Reader(_Reader(content).vector(2))
            return names.vector(2).decode("ascii") if names.number(1) == _HOST_NAME else None
    return None
