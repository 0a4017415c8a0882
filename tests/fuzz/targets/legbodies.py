"""The bodies of OPEN, OPENED and RST; the first byte chooses which."""

from __future__ import annotations

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.legbodies import OpenBody, OpenedBody, RstBody

__all__ = ["attempt"]

KINDS = (OpenBody, OpenedBody, RstBody)


def attempt(data: bytes) -> None:
    kind = KINDS[data[0] % 3] if data else OpenBody
    try:
        body = kind.decode(data[1:])
    except RemoteProtocolError as refused:
        assert refused.reason.isprintable(), "a reason that is no line"
        return
    again = kind.decode(body.encode())
    assert again == body or isinstance(body, RstBody), "not what was written"
