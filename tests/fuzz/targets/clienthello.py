"""The server name of a ClientHello: more bytes never change an answer."""

from __future__ import annotations

from gotunnel.wire.clienthello import server_name

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    known, name = server_name(data)
    assert name is None or (known and name.isascii())
    if known:
        assert server_name(data + b"\0") == (known, name), "more bytes, another answer"
    else:
        assert len(data) < 16384 + 5, "it waits for ever"
