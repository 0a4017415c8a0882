"""The header of the PROXY protocol: more bytes never change an answer, and what is read can be written."""

from __future__ import annotations

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.proxyheader import encode_proxy_header
from gotunnel.wire.proxyread import MOST_HEADER, read_proxy_header

__all__ = ["attempt"]


def attempt(data: bytes) -> None:
    try:
        header = read_proxy_header(data)
    except RemoteProtocolError as refused:
        assert refused.reason.isprintable(), "a reason that is no line"
        return
    if header is None:
        assert len(data) < MOST_HEADER, "it waits for ever"
        return
    assert 0 < header.length <= len(data), "a header beyond what is there"
    assert read_proxy_header(data + b"\0") == header, "more bytes, another answer"
    if header.source is not None:
        written = encode_proxy_header("v2", str(header.source), str(header.destination))
        again = read_proxy_header(written)
        assert again is not None and again.source == header.source, "not who was read"
