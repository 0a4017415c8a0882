"""The messages of version 1, the protocol of the Go gotunnel (v0.1.0 to v1.0.0), one frozen dataclass each.

Whether a version 1 peer is accepted is decided elsewhere. Users rely on two properties of the original:

- A control connection carries one mapping.
- `open_data_channel` names no visitor, and a leg names no session, so the two are paired only by their order.
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
"""Seconds between a client's pings."""
SILENCE = 30.0
"""Seconds of silence after which a server disconnects a client."""
FIRST_TYPES = frozenset({"register", "data_channel"})
"""The types a connection of version 1 can begin with. No first message of version 2 has one of these names."""


@dataclass(frozen=True, slots=True)
class Register:
    """The first frame of a control connection: publish one port.

    `local_port` is the client's own port and is repeated in each OpenDataChannel. The token is sent in clear text.
    """

    local_port: Port
    remote_port: Port
    protocol: Label = "tcp"
    token: Secret = field(default="", repr=False)
    name: Label = ""


@dataclass(frozen=True, slots=True)
class DataChannel:
    """The first frame of a leg. After the `Answer` come the raw bytes of one visitor."""

    local_port: Port
    remote_port: Port
    token: Secret = field(default="", repr=False)
    name: Label = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer to either first frame (`register_resp`). There is no `reason` if the status is ok."""

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
    """From the server: it has a visitor and needs a leg."""

    local_port: Port


@dataclass(frozen=True, slots=True)
class OfflinePort:
    """From the client: its target is down, so admit no visitors. `port` is the remote port."""

    port: Port


@dataclass(frozen=True, slots=True)
class OnlinePort:
    """From the client: its target is up again. `port` is the remote port."""

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
    """Return the message in a frame's payload. Unknown fields are ignored, because Go peers send some.

    Raises RemoteProtocolError with a reason that never contains a value.
    """
    return decode_object(strictjson.loads(payload))


def decode_object(found: dict[str, object]) -> V1Message:
    """Like `decode`, for parsed JSON."""
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
    """Return the payload of a message. Raises LocalProtocolError if the peer would refuse it."""
    name = _NAMES[type(message)]
    try:
        return strictjson.dumps({"type": name, **_SCHEMAS[name].write(message)})
    except Misfit as misfit:
        raise LocalProtocolError(f"{name}{misfit}") from None
