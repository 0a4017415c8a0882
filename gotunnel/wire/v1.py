"""The messages of version 1, the wire of the Go gotunnel (v0.1.0 to v1.0.0): one frozen dataclass each, and the way
from a frame's payload to them and back. Whether such a peer is welcome is decided elsewhere.

Facts about the original that its users rely on: a control connection carries one mapping; `open_data_channel` names no
visitor, and a leg no session, so that legs and visitors are paired by their order alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gotunnel.errors import LocalProtocolError, RemoteProtocolError, printable
from gotunnel.wire import strictjson
from gotunnel.wire.fields import Counter, Label, Misfit, Port, Reason, Schema, Secret, Status

__all__ = [
    "FIRST_TYPES",
    "HEARTBEAT",
    "SILENCE",
    "Answer",
    "DataChannel",
    "OfflinePort",
    "OnlinePort",
    "OpenDataChannel",
    "Ping",
    "Pong",
    "Register",
    "V1Message",
    "decode",
    "decode_object",
    "encode",
]

HEARTBEAT = 10.0
"""Seconds between the pings of a client."""
SILENCE = 30.0
"""Seconds of silence after which a server drops a client."""
FIRST_TYPES = frozenset({"register", "data_channel"})
"""What a connection of version 1 can begin with; no message of version 2 that does is called so."""


@dataclass(frozen=True, slots=True)
class Register:
    """First frame of a control connection: publish one port. `local_port` is the client's own, and comes back in each
    OpenDataChannel. The token crosses the wire as it is."""

    local_port: Port
    remote_port: Port
    protocol: Label = "tcp"
    token: Secret = field(default="", repr=False)
    name: Label = ""


@dataclass(frozen=True, slots=True)
class DataChannel:
    """First frame of a leg. `Answer` follows, and then the raw bytes of one visitor."""

    local_port: Port
    remote_port: Port
    token: Secret = field(default="", repr=False)
    name: Label = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer to either first frame (`register_resp`); `reason` is absent when it is ok."""

    status: Status
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """From the client; `time` is its clock in Unix seconds."""

    time: Counter = 0


@dataclass(frozen=True, slots=True)
class Pong:
    """The server's answer to a ping."""

    time: Counter = 0


@dataclass(frozen=True, slots=True)
class OpenDataChannel:
    """The server has a visitor and wants a leg."""

    local_port: Port


@dataclass(frozen=True, slots=True)
class OfflinePort:
    """The client's target is down: nobody is to be let in. `port` is the remote one."""

    port: Port


@dataclass(frozen=True, slots=True)
class OnlinePort:
    """It is up again."""

    port: Port


V1Message = Register | DataChannel | Answer | Ping | Pong | OpenDataChannel | OfflinePort | OnlinePort

_TYPES: dict[str, type[Any]] = {
    "register": Register,
    "data_channel": DataChannel,
    "register_resp": Answer,
    "ping": Ping,
    "pong": Pong,
    "open_data_channel": OpenDataChannel,
    "offline_port": OfflinePort,
    "online_port": OnlinePort,
}
_SCHEMAS: dict[str, Schema[Any]] = {name: Schema(cls) for name, cls in _TYPES.items()}
_NAMES = {cls: name for name, cls in _TYPES.items()}


def decode(payload: bytes) -> V1Message:
    """Return the message in a frame's payload; unknown fields are ignored, as the Go peers send some. Raises
    RemoteProtocolError, whose reason never shows a value."""
    return decode_object(strictjson.loads(payload))


def decode_object(found: dict[str, object]) -> V1Message:
    """The same for a payload that is parsed already."""
    kind = found.get("type")
    schema = _SCHEMAS.get(kind) if isinstance(kind, str) else None
    if schema is None:
        raise RemoteProtocolError(f"version 1 has no message of type {printable(kind, 40)}")
    try:
        message: V1Message = schema.read(found)
    except Misfit as misfit:
        raise RemoteProtocolError(f"{kind}{misfit}") from None
    return message


def encode(message: V1Message) -> bytes:
    """Return the payload of a message. Raises LocalProtocolError for what a peer would refuse."""
    name = _NAMES[type(message)]
    try:
        return strictjson.dumps({"type": name, **_SCHEMAS[name].write(message)})
    except Misfit as misfit:
        raise LocalProtocolError(f"{name}{misfit}") from None
