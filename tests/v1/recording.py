"""A session of the original Go client with the original Go server, as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from gotunnel.errors import RemoteProtocolError
from gotunnel.wire.frames import LIMIT_AFTER_AUTH, FrameDecoder

__all__ = ["LOCAL", "NAME", "REMOTE", "Event", "events", "payloads"]

_RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())

LOCAL: int = _RECORDED["local_port"]
REMOTE: int = _RECORDED["remote_port"]
NAME: str = _RECORDED["name"]


class Event(NamedTuple):
    """Bytes of one end on one connection, or its end of stream."""

    connection: int
    sender: str
    what: str
    data: bytes


def events(local: int = LOCAL, remote: int = REMOTE) -> list[Event]:
    """Return all that happened, with other ports of five digits in place of the recorded ones."""
    found = [Event(conn, sender, what, bytes.fromhex(data)) for conn, sender, what, data in _RECORDED["events"]]
    for old, new in ((LOCAL, local), (REMOTE, remote)):
        assert len(str(new)) == len(str(old))
        found = [event._replace(data=event.data.replace(b"%d" % old, b"%d" % new)) for event in found]
    return found


def payloads(connection: int, sender: str) -> list[bytes]:
    """Return what one end said on one connection in frames; raw bytes behind the last are left out."""
    decoder = FrameDecoder(LIMIT_AFTER_AUTH)
    for event in events():
        if (event.connection, event.sender) == (connection, sender):
            decoder.feed(event.data)
    found = []
    while decoder.buffered > 4 and (payload := _next(decoder)) is not None:
        found.append(payload)
    return found


def _next(decoder: FrameDecoder) -> bytes | None:
    try:
        return decoder.next_frame()
    except RemoteProtocolError:
        return None  # "hello", read as a length
