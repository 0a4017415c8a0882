"""The JSON messages of version 2, one frozen dataclass each, with their encoding to and from a frame's payload.

This module makes no decisions: whether a message is expected in some state, or a port is allowed, is checked elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gotunnel.errors import LocalProtocolError, RemoteProtocolError, printable
from gotunnel.wire import strictjson
from gotunnel.wire.fields import (
    ClientName,
    ClientPattern,
    Code,
    Count,
    Counter,
    GroupName,
    Host,
    MappingName,
    Milliseconds,
    Misfit,
    Node,
    Port,
    Protocol,
    Reason,
    Schema,
    State,
    Status,
)
from gotunnel.wire.greeting import (
    BEARER,
    ENROL,
    VERSION,
    Auth,
    AuthOk,
    Bearer,
    Challenge,
    Enrol,
    Enrolled,
    Error,
    Hello,
    Leg,
    LegOk,
    Limits,
)

__all__ = [
    "BEARER",
    "ENROL",
    "VERSION",
    "Auth",
    "AuthOk",
    "Bearer",
    "Challenge",
    "Drain",
    "DrainOk",
    "Enrol",
    "Enrolled",
    "Error",
    "Hello",
    "Leg",
    "LegOk",
    "LegsFailed",
    "Limits",
    "MappingRequest",
    "MappingResult",
    "MappingState",
    "Message",
    "NeedLegs",
    "Nodes",
    "Ping",
    "Pong",
    "Register",
    "RegisterResp",
    "Unregister",
    "decode",
    "decode_object",
    "encode",
]


@dataclass(frozen=True, slots=True)
class MappingRequest:
    """One mapping that a client wants to publish.

    - `bind`: the address to listen on; without it the server uses its default.
    - `protocol`: `tcp`, or `udp` if the `caps` of both ends contain UDP.
    - `public`: if False there is no port, and `remote_port` is 0. Requires a server whose `caps` contain FORWARD.
    - `clients`: patterns for the names of clients that may reach the mapping through the server. Requires FORWARD too.
    - `group`: mappings of several clients with the same group share one port. Requires GROUPS.
    - `dst`: asks that each OPEN contain the address its visitor connected to. Servers that do not know it omit it.
    - `idle_ms`: a flow of datagrams ends when nothing has arrived for so many milliseconds.
    """

    name: MappingName
    remote_port: Port
    bind: Host | None = None
    protocol: Protocol = "tcp"
    encrypt: bool = True
    public: bool | None = None
    clients: tuple[ClientPattern, ...] | None = None
    group: GroupName | None = None
    dst: bool | None = None
    idle_ms: Milliseconds | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """From the client: publish these mappings. `more` announces another register frame of the same set."""

    id: Counter
    mappings: tuple[MappingRequest, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class MappingResult:
    """The result for one mapping: `remote_port` as bound, or `code` and `reason`.

    `shut` says why no visitor is admitted to it, as a MappingState would.
    """

    name: MappingName
    status: Status
    remote_port: Port | None = None
    code: Code | None = None
    reason: Reason | None = None
    shut: Reason | None = None

    def misfit(self) -> str | None:
        """Return what is inconsistent between the fields, or None."""
        return ".code is missing" if self.status == "fail" and self.code is None else None


@dataclass(frozen=True, slots=True)
class RegisterResp:
    """The server's answer to a register, unregister or nodes message with the same `id`."""

    id: Counter
    status: Status
    results: tuple[MappingResult, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Nodes:
    """From the client: the nodes (addresses, networks, names) that can be reached through it.

    The list replaces the previous one. The server answers with a register_resp of the same `id`. Requires a server
    whose `caps` contain NODES.
    """

    id: Counter
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unregister:
    """From the client: close these mappings."""

    id: Counter
    names: tuple[MappingName, ...]


@dataclass(frozen=True, slots=True)
class MappingState:
    """Whether a mapping is up or down.

    - From a client: whether its target can be reached.
    - From a server, to a client whose `caps` contain MAPPING_STATE: whether visitors are admitted to its mapping, for
      reasons other than its target.
    - With `client`, to a client whose `caps` contain FORWARD_STATE: the same for a mapping of that other client, which
      this one may reach.
    """

    name: MappingName
    state: State
    reason: Reason = ""
    client: ClientName | None = None


@dataclass(frozen=True, slots=True)
class NeedLegs:
    """From the server: dial `count` more reverse legs, either plain or inside TLS."""

    plain: bool
    count: Count


@dataclass(frozen=True, slots=True)
class LegsFailed:
    """The client's answer to need_legs: it cannot provide `count` of them."""

    plain: bool
    count: Count
    reason: Reason = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """From either end: a request for a Pong with the same number."""

    n: Counter


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to the ping of the same number."""

    n: Counter


@dataclass(frozen=True, slots=True)
class Drain:
    """From either end: open nothing more; streams still open after `deadline_ms` milliseconds will be reset."""

    deadline_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class DrainOk:
    """The answer to a drain, sent after the last OPEN."""


Message = (
    Hello | Challenge | Auth | Bearer | AuthOk | Enrol | Enrolled | Error | Register | RegisterResp | Unregister
    | MappingState | NeedLegs | LegsFailed | Nodes | Ping | Pong | Drain | DrainOk | Leg | LegOk
)  # fmt: skip

_CLASSES: dict[str, type[Any]] = {
    "hello": Hello,
    "challenge": Challenge,
    "auth": Auth,
    "bearer": Bearer,
    "auth_ok": AuthOk,
    "enrol": Enrol,
    "enrolled": Enrolled,
    "error": Error,
    "register": Register,
    "register_resp": RegisterResp,
    "unregister": Unregister,
    "mapping_state": MappingState,
    "need_legs": NeedLegs,
    "legs_failed": LegsFailed,
    "nodes": Nodes,
    "ping": Ping,
    "pong": Pong,
    "drain": Drain,
    "drain_ok": DrainOk,
    "leg": Leg,
    "leg_ok": LegOk,
}
_SCHEMAS: dict[str, Schema[Any]] = {name: Schema(cls) for name, cls in _CLASSES.items()}
_NAMES = {cls: name for name, cls in _CLASSES.items()}


def decode(payload: bytes) -> Message:
    """Read one payload. Raises RemoteProtocolError with a reason that names the wrong field, never its value."""
    return decode_object(strictjson.loads(payload))


def decode_object(found: dict[str, object]) -> Message:
    """Read one message from parsed JSON. Raises RemoteProtocolError like `decode`."""
    name = found.get("type")
    if not isinstance(name, str):
        raise RemoteProtocolError("the message has no type")
    schema = _SCHEMAS.get(name)
    if schema is None:
        raise RemoteProtocolError(f"the message type {printable(name, 40)} is unknown")
    try:
        message: Message = schema.read(found)
    except Misfit as misfit:
        raise RemoteProtocolError(f"{name}{misfit}") from None
    return message


def encode(message: Message) -> bytes:
    """Write one payload, without a frame header. Raises LocalProtocolError if the peer would refuse it."""
    name = _NAMES.get(type(message))
    if name is None:
        raise LocalProtocolError(f"{type(message).__name__} is not a message")
    try:
        return strictjson.dumps({"type": name, **_SCHEMAS[name].write(message)})
    except Misfit as misfit:
        raise LocalProtocolError(f"{name}{misfit}") from None
