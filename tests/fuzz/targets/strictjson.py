"""JSON as the contract wants it: whatever is taken is what Python's own parser reads, and is written and read again."""

from __future__ import annotations

import json

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.strictjson import dumps, loads

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    try:
        value = loads(data)
    except RemoteProtocolError as refused:
        assert refused.reason.isprintable(), "a reason that is no line"
        return
    assert value == json.loads(data), "not what JSON says"
    assert loads(dumps(value)) == value, "not what was written"
