"""The request of an egress socket: a host and port that print, or a refusal with one of the two statuses."""

from __future__ import annotations

from gotunnel.address import parse_host_port
from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.connectproxy import parse, refusal

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    try:
        target = parse(data)
    except RemoteProtocolError as refused:
        answer = refusal(int(refused.code), refused.reason)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(body) in head, "a length that is not that of the body"
        assert refused.code in ("400", "405")
        return
    assert str(target).isprintable() and parse_host_port(str(target)) == target, str(target)
