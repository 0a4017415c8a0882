"""Frames of a control connection: at once or byte by byte is the same, and no more is kept than what has come."""

from __future__ import annotations

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.frames import FrameDecoder

__all__ = ["attempt"]


def _drain(decoder: FrameDecoder, found: list[bytes | str]) -> None:
    try:
        while (payload := decoder.next_frame()) is not None:
            found.append(payload)
    except RemoteProtocolError as breach:
        found.append(breach.reason)


def attempt(data: bytes) -> None:
    whole, single = FrameDecoder(), FrameDecoder()
    expected: list[bytes | str] = []
    found: list[bytes | str] = []
    whole.feed(data)
    _drain(whole, expected)
    for byte in data:
        single.feed(bytes([byte]))
        _drain(single, found)
        if found and isinstance(found[-1], str):
            break
    assert found == expected, "another cut, other frames"
    assert whole.buffered <= len(data)
