"""The bodies of OPEN, OPENED and RST; the first byte chooses which. An OPEN has one reading, whoever reads it: the
usual form, in Python or compiled, or JSON and the schema, which take all others."""

from __future__ import annotations

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire import openform, strictjson
from gotunnel.wire.fields import Schema
from gotunnel.wire.legbodies import OpenBody, OpenedBody, RstBody

try:
    from gotunnel.net.fast._native import read_open
except ImportError:
    read_open = openform.read

__all__ = ["attempt"]

KINDS = (OpenBody, OpenedBody, RstBody)
SCHEMA = Schema(OpenBody)


def attempt(data: bytes) -> None:
    kind = KINDS[data[0] % 3] if data else OpenBody
    if kind is OpenBody:
        read_alike(data[1:])
    try:
        body = kind.decode(data[1:])
    except RemoteProtocolError as refused:
        assert refused.reason.isprintable(), "a reason that is no line"
        return
    again = kind.decode(body.encode())
    assert again == body or isinstance(body, RstBody), "not what was written"


def read_alike(body: bytes) -> None:
    """What the usual form reads, the schema reads as well, and as the same."""
    usual = openform.read(body)
    assert read_open(body) == usual, "the compiled form reads it in another way"
    if usual is not None:
        conn, src, mapping, n, mac, dst = usual
        meant = SCHEMA.read(strictjson.loads(body))
        assert meant == OpenBody(conn, src, mapping, n=n, mac=mac, dst=dst), "JSON means something else"
