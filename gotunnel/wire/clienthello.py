"""Reads the server name out of the first message of a TLS connection, to route it before TLS starts. It verifies
nothing: what is not a ClientHello is left to TLS to refuse."""

from __future__ import annotations

__all__ = ["MOST", "server_name"]

MOST = 16384 + 5
"""Bytes of one TLS record with its header; a ClientHello that is longer is not looked into."""

_RECORD_HEADER = 5  # type, version, length (RFC 8446, 5.1)
_SNI = 0  # extension type (RFC 6066, 3)
_HOST_NAME = 0


class _Reader:
    """Takes lengths and vectors off the front of bytes; IndexError when there are too few."""

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
    """Return whether `data`, the first bytes of a connection, suffices to tell, and the name if there is one.

    (False, None) means that more bytes are needed. Lengths and fields are those of RFC 8446, 4.1.2.
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
        return True, None  # spread over several records, or broken


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
