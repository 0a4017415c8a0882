"""Messages: what is decoded is encoded and decoded again as itself, and its text is fit for a log."""

from __future__ import annotations

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.fields import REASON_CHARACTERS
from gotunnel.wire.messages import decode, encode

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    try:
        message = decode(data)
    except RemoteProtocolError as refused:
        assert refused.reason.isprintable(), "a reason that is no line"
        return
    again = decode(encode(message))
    reason = getattr(message, "reason", None)
    if isinstance(reason, str) and len(reason) > REASON_CHARACTERS:
        return  # it is cut when it is sent
    if not hasattr(message, "results"):  # whose reasons are cut, too
        assert again == message, "not what was written"
