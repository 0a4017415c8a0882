"""Reads the HTTP CONNECT request of an egress socket (RFC 9110, section 9.3.6) and writes the answers to it.

kube-apiserver is the usual sender. Only the request target counts, because kube-apiserver always sends `Host:
127.0.0.1`. A 200 has no body: every byte after its empty line belongs to the stream. This module does not decide
where the tunnel leads.
"""

from __future__ import annotations

import re

from gotunnel.address import HostPort, parse_host_port
from gotunnel.errors import RemoteProtocolError, Sentence, printable

__all__ = ["LIMIT", "OK", "parse", "refusal"]

LIMIT = 8192
"""The size limit of a request header, in bytes."""
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"

_WORDS = {400: "Bad Request", 405: "Method Not Allowed", 431: "Request Header Fields Too Large", 502: "Bad Gateway",
          504: "Gateway Timeout"}  # fmt: skip
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


def parse(header: bytes) -> HostPort:
    """Parse a request header, including its final empty line, and return the target.

    Raises RemoteProtocolError with the HTTP status to answer ("400" or "405") as its code.
    """
    lines = header.split(b"\r\n")
    found = _REQUEST.fullmatch(lines[0])
    if found is None or lines[-2:] != [b"", b""] or not all(_FIELD.fullmatch(line) for line in lines[1:-2]):
        raise RemoteProtocolError("not an HTTP/1 request", "400")
    method, target = found.groups()
    if method != b"CONNECT":
        raise RemoteProtocolError(f"the method {printable(method.decode())} is not CONNECT", "405")
    try:
        return parse_host_port(target.decode("ascii"))
    except ValueError as error:
        raise RemoteProtocolError(Sentence(
            "the request target is not a host and port: {error}", error=error
        ), "400") from None


def refusal(status: int, reason: str) -> bytes:
    """Return a complete error response, with `reason` as one line of text in its body."""
    body = reason.encode("utf-8", "replace") + b"\n"
    return (
        f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
