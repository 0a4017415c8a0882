"""Messages of version 1: what is decoded is encoded and decoded again as itself."""

from __future__ import annotations

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.fields import REASON_CHARACTERS
from gotunnel.wire.v1 import decode, encode

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    try:
        message = decode(data)
    except RemoteProtocolError as refused:
        assert refused.reason.isprintable(), "a reason that is no line"
        return
    if len(getattr(message, "reason", None) or "") <= REASON_CHARACTERS:
        assert decode(encode(message)) == message, "not what was written"
