"""The state of a running role as shown to operators: immutable values, in the vocabulary of the admin API.

Each role builds them from what it knows. A field that is None does not apply or is unknown. Times are ages in seconds
unless stated otherwise, so that they do not depend on a clock. Names are stable: scripts read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

__all__ = [
    "STOPPING", "SWITCHED_OFF", "SWITCHED_OFF_AT_SERVER", "SWITCHED_OFF_THERE", "CounterView", "DescriptorView",
    "Finding", "LegsView", "MappingState", "MappingView", "RightsView", "RoleView", "SessionState",
    "SessionView", "StreamView", "added", "plain",
]  # fmt: skip

STOPPING = "the server is about to stop"
"""The reason of a session whose server drains. With the code `limit`, also what such a server answers to a mapping that
arrives too late."""
SWITCHED_OFF = "switched off by an operator"
SWITCHED_OFF_THERE = "switched off by an operator, at its client"
SWITCHED_OFF_AT_SERVER = "switched off by an operator, at the server"
"""The reasons of a mapping that is OFF."""


class SessionState(Enum):
    """The state of a client's connection to its server, seen from either end."""

    CONNECTED = "connected"
    DRAINING = "draining"  # it opens nothing more
    AWAY = "away"  # at the server: its ports wait for it during the time of grace
    CONNECTING = "connecting"  # at the client
    WAITING = "waiting"  # at the client: until the next attempt


class MappingState(Enum):
    """The state of a mapping, a forward or an egress socket."""

    OPEN = "open"
    DOWN = "down"  # its target is down
    REFUSED = "refused"  # by the server
    PENDING = "pending"  # not answered yet, or not connected
    FAILED = "failed"  # its address cannot be listened on, here or at the server
    AWAY = "away"  # open, but the other end is not connected
    OFF = "off"  # switched off by an operator, at either end


@dataclass(frozen=True, slots=True)
class LegsView:
    """The legs of one session. `requested` ones have not arrived yet."""

    idle: int = 0
    busy: int = 0
    requested: int = 0
    limit: int | None = None

    @property
    def held(self) -> int:
        """The number of legs that exist."""
        return self.idle + self.busy

    @classmethod
    def all_of(cls, views: Iterable[LegsView], limit: int | None = None) -> LegsView:
        """Return the sum of several views. Their limits are not added up; `limit` is used instead."""
        idle = busy = requested = 0
        for view in views:
            idle, busy, requested = idle + view.idle, busy + view.busy, requested + view.requested
        return cls(idle, busy, requested, limit)


@dataclass(frozen=True, slots=True)
class SessionView:
    """One client at the server, or one server at the client. `name` is that of the other end."""

    name: str
    address: str
    state: SessionState
    age: float | None
    """Seconds since it began, or since it was lost."""
    round_trip: float | None
    pong_age: float | None
    """Seconds since the last pong; before the first one, since the beginning."""
    timeout: float | None
    """Seconds of silence after which the other end is considered dead."""
    version: int
    """The protocol version."""
    mappings: int
    streams: int
    pending: int
    """Visitors waiting for a leg."""
    legs: LegsView
    reason: str = ""
    """Why it is not connected."""
    agent: str | None = None
    """How the other end's program identifies itself."""
    nodes: list[str] = field(default_factory=list)
    """The nodes that the client announces and the server leads to."""
    refused_nodes: dict[str, str] = field(default_factory=dict)
    """The other nodes that the client announces, with the reason of each."""


@dataclass(frozen=True, slots=True)
class MappingView:
    """One mapping, forward or egress socket; `kind` says which. `address` is where visitors connect."""

    client: str
    name: str
    kind: str
    address: str
    target: str | None
    state: MappingState
    reason: str
    streams: int | None
    """Current visitors; None if they are not counted."""
    ended: int | None
    up: int | None
    """Bytes of finished visitors, to the target; `down` counts those back."""
    down: int | None
    server: str | None = None
    age: float | None = None
    """Seconds for which it has been refused for this reason; None in other states."""
    protocol: str = "tcp"
    """`tcp`, or `udp`: its visitors are then flows of datagrams."""
    dropped: int | None = None
    """Datagrams that were not carried, as far as this end knows; None for other protocols."""
    encrypted: bool | None = None
    """Whether its visitors travel inside gotunnel's TLS; None if that is currently unknown."""


@dataclass(frozen=True, slots=True)
class StreamView:
    """One visitor. `state` is waiting (for a leg), dialling or open; bytes are those so far."""

    conn: str
    client: str
    mapping: str
    visitor: str
    state: str
    age: float
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class RightsView:
    """What one client may do. `source` is where that is configured."""

    client: str
    state: str
    """active, or why nobody can log in under this name."""
    connected: bool
    source: str
    allow_ports: str
    allow_bind: list[str] | None
    allow_dial: list[str]
    allow_nodes: list[str]
    mappings: int
    legs: int
    visitors: int
    pending: int
    allow_udp_ports: str = "none"
    allow_groups: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CounterView:
    """Counters since the start. `opened` less the sum of `outcomes` always equals `live`."""

    opened: int
    live: int
    outcomes: dict[str, int]
    up: int
    down: int
    """Bytes, including those of current visitors."""
    legs_created: int
    legs_reused: int
    refused_logins: dict[str, int]


@dataclass(frozen=True, slots=True)
class DescriptorView:
    """File descriptors of the process. `used` is None if the system does not report it."""

    used: int | None
    limit: int
    reserve: int
    scarce: bool


@dataclass(frozen=True, slots=True)
class RoleView:
    """The process itself."""

    role: str
    name: str
    """The client's name, or the address where a server listens for clients."""
    version: str
    pid: int
    age: float
    draining: bool
    relay: str
    log_level: str
    descriptors: DescriptorView
    reactor_lag: float
    """The longest delay of the event loop within the last half minute, in seconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one health check of a role: `reason` says what is wrong, or what was found."""

    check: str
    ok: bool
    reason: str


def plain(value: Any) -> Any:
    """Convert a value of this module to JSON types."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    names = _names(type(value))
    if names is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value


_known: dict[type, tuple[str, ...] | None] = {}


def _names(kind: type) -> tuple[str, ...] | None:
    if kind not in _known:
        _known[kind] = tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None
    return _known[kind]


def added(carried: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Sum pairs of bytes to targets and back."""
    up = down = 0
    for one, other in carried:
        up, down = up + one, down + other
    return up, down
