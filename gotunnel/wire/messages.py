"""The JSON messages of version 2: one frozen dataclass each, and the way from a frame's payload to them and
back. They decide nothing: whether a message is welcome in some state, or a port allowed, is for others to
say."""

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
    """One port that a client asks for. `bind` is the address to listen on; without it the server takes its
    default. `clients` may reach the mapping through the server, by patterns of their names; one with `public`
    false has no port, and `remote_port` is 0. Both are for servers whose `caps` name FORWARD. Mappings of several
    clients with the same `group` share one port; for servers whose `caps` name GROUPS. With `dst` each OPEN is to say
    where its visitor came to; a server that does not know of it leaves that out. `protocol` is `tcp` or, where the
    `caps` of both ends name UDP, `udp`; a flow of datagrams is then over when nothing came for `idle_ms` milliseconds.
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
    """Client: publish these. `more` says that another register frame of the same set follows."""

    id: Counter
    mappings: tuple[MappingRequest, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class MappingResult:
    """What became of one mapping: `remote_port` as bound, or `code` and `reason`. `shut` says why nobody is let in to
    it, as a MappingState would."""

    name: MappingName
    status: Status
    remote_port: Port | None = None
    code: Code | None = None
    reason: Reason | None = None
    shut: Reason | None = None

    def misfit(self) -> str | None:
        """Say what is wrong between the fields."""
        return ".code is missing" if self.status == "fail" and self.code is None else None


@dataclass(frozen=True, slots=True)
class RegisterResp:
    """Server, to a register or an unregister with the same `id`."""

    id: Counter
    status: Status
    results: tuple[MappingResult, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Nodes:
    """Client: the server may lead who asks for these nodes (addresses, networks, names) to me; in place of what I said
    before. Answered by a register_resp with the same `id`. For servers whose `caps` name NODES."""

    id: Counter
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unregister:
    """Client: close these mappings."""

    id: Counter
    names: tuple[MappingName, ...]


@dataclass(frozen=True, slots=True)
class MappingState:
    """Client: the target of a mapping is there again, or is not. Server, to a client whose `caps` name MAPPING_STATE:
    visitors of a mapping are let in again, or are not, whatever its target does. With `client`, to one whose `caps`
    name FORWARD_STATE: the same of a mapping of that other client, which this one may reach."""

    name: MappingName
    state: State
    reason: Reason = ""
    client: ClientName | None = None


@dataclass(frozen=True, slots=True)
class NeedLegs:
    """Server: dial `count` more reverse legs, plain ones or inside TLS."""

    plain: bool
    count: Count


@dataclass(frozen=True, slots=True)
class LegsFailed:
    """Client, to need_legs: so many of them it cannot bring."""

    plain: bool
    count: Count
    reason: Reason = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """Either end: are you there?"""

    n: Counter


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to the ping of the same number."""

    n: Counter


@dataclass(frozen=True, slots=True)
class Drain:
    """Either end: open nothing more; after `deadline_ms` milliseconds what still streams is reset."""

    deadline_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class DrainOk:
    """The answer to a drain, behind the last OPEN."""


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
    """Read one payload. Raises RemoteProtocolError, whose reason names the field that is wrong, never its
    value."""
    return decode_object(strictjson.loads(payload))


def decode_object(found: dict[str, object]) -> Message:
    """Read one message from JSON that is parsed already. Raises RemoteProtocolError like `decode`."""
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
    """Write one payload, not framed. Raises LocalProtocolError for what the other end would refuse."""
    name = _NAMES.get(type(message))
    if name is None:
        raise LocalProtocolError(f"{type(message).__name__} is not a message")
    try:
        return strictjson.dumps({"type": name, **_SCHEMAS[name].write(message)})
    except Misfit as misfit:
        raise LocalProtocolError(f"{name}{misfit}") from None
