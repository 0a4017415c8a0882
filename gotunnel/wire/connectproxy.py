"""The HTTP CONNECT request of an egress socket (RFC 9110, section 9.3.6) and its answers, as kube-apiserver speaks it.
Where the tunnel leads is not decided here.

Only the request target counts: kube-apiserver's `Host` is always 127.0.0.1. Behind the empty line of a 200 nothing of
ours may follow, since everything there belongs to the stream.
"""

from __future__ import annotations

import re

from gotunnel.address import HostPort, parse_host_port
from gotunnel.errors import RemoteProtocolError, Sentence, printable

__all__ = ["LIMIT", "OK", "parse", "refusal"]

LIMIT = 8192
"""The longest request header, in bytes."""
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"

_WORDS = {400: "Bad Request", 405: "Method Not Allowed", 431: "Request Header Fields Too Large", 502: "Bad Gateway",
          504: "Gateway Timeout"}  # fmt: skip
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


def parse(header: bytes) -> HostPort:
    """Read a header, up to and with its empty line; return the target. Raises RemoteProtocolError: code "400" or
    "405", the status to answer."""
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
            "the request target is no host and port: {error}", error=error
        ), "400") from None


def refusal(status: int, reason: str) -> bytes:
    """Return the answer that says no, and why, in one line of text."""
    body = reason.encode("utf-8", "replace") + b"\n"
    return (
        f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
