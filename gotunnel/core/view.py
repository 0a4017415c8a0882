"""What an operator is shown of a role that runs, as values that cannot change: the words of the admin API. Each role
makes them of what it knows; a field that is None does not apply, or is not known.

Times are seconds ago ("age") unless they say otherwise, so that they mean the same on every clock. Names are stable:
scripts read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

__all__ = [
    "SWITCHED_OFF", "SWITCHED_OFF_AT_SERVER", "SWITCHED_OFF_THERE", "CounterView", "DescriptorView", "Finding",
    "LegsView", "MappingState", "MappingView", "RightsView", "RoleView", "SessionState", "SessionView", "StreamView",
    "added", "plain",
]  # fmt: skip

SWITCHED_OFF = "switched off by an operator"
SWITCHED_OFF_THERE = "switched off by an operator, at its client"
SWITCHED_OFF_AT_SERVER = "switched off by an operator, at the server"
"""The reasons of a mapping that is OFF."""


class SessionState(Enum):
    """How a client stands with its server, seen from either end."""

    CONNECTED = "connected"
    DRAINING = "draining"  # it opens nothing more
    AWAY = "away"  # at the server: its ports wait for it, for the time of grace
    CONNECTING = "connecting"  # at the client
    WAITING = "waiting"  # at the client: until the next attempt


class MappingState(Enum):
    """How a mapping, a forward or an egress socket stands."""

    OPEN = "open"
    DOWN = "down"  # its target is
    REFUSED = "refused"  # by the server
    PENDING = "pending"  # not answered yet, or not connected
    FAILED = "failed"  # what it listens on cannot be had, here or at the server
    AWAY = "away"  # open, and the other end is not there
    OFF = "off"  # an operator has switched it off, at either end


@dataclass(frozen=True, slots=True)
class LegsView:
    """The legs of one session. `requested` were asked for and are not there yet."""

    idle: int = 0
    busy: int = 0
    requested: int = 0
    limit: int | None = None

    @property
    def held(self) -> int:
        """Those that are there."""
        return self.idle + self.busy

    @classmethod
    def all_of(cls, views: Iterable[LegsView], limit: int | None = None) -> LegsView:
        """Return those of several together; what each of them may have at most is not added up."""
        idle = busy = requested = 0
        for view in views:
            idle, busy, requested = idle + view.idle, busy + view.busy, requested + view.requested
        return cls(idle, busy, requested, limit)


@dataclass(frozen=True, slots=True)
class SessionView:
    """One client at the server, or one server at the client. `name` is the other end's."""

    name: str
    address: str
    state: SessionState
    age: float | None
    """Seconds since it began, or since it was lost."""
    round_trip: float | None
    pong_age: float | None
    """Seconds since the last pong; since the beginning, before the first."""
    timeout: float | None
    """Seconds of silence after which the other end counts as gone."""
    version: int
    """Of the protocol."""
    mappings: int
    streams: int
    pending: int
    """Visitors waiting for a leg."""
    legs: LegsView
    reason: str = ""
    """Why it is not connected."""
    agent: str | None = None
    """What the other end's program calls itself."""


@dataclass(frozen=True, slots=True)
class MappingView:
    """One mapping, forward (`kind`) or egress socket. `address` is where visitors come to."""

    client: str
    name: str
    kind: str
    address: str
    target: str | None
    state: MappingState
    reason: str
    streams: int | None
    """Visitors that are here now; None where that is not counted."""
    ended: int | None
    up: int | None
    """Bytes of visitors that are over, to the target."""
    down: int | None
    server: str | None = None
    age: float | None = None
    """Seconds for which it has been refused for this reason; None in other states."""
    protocol: str = "tcp"
    """Or udp: its visitors are flows of datagrams."""
    dropped: int | None = None
    """Datagrams that were not carried, as far as this end knows; None where there are none to carry."""
    encrypted: bool | None = None
    """Whether its visitors travel inside gotunnel's TLS; None where that is not known now."""


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
    """What one client may do. `source` is where that is written."""

    client: str
    state: str
    """active, or why nobody gets in under this name."""
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
    """What was counted since the start; `opened` less all `outcomes` is `live`, always."""

    opened: int
    live: int
    outcomes: dict[str, int]
    up: int
    down: int
    """Bytes, those of visitors that are here included."""
    legs_created: int
    legs_reused: int
    refused_logins: dict[str, int]


@dataclass(frozen=True, slots=True)
class DescriptorView:
    """File descriptors of the process. `used` is None where the system does not tell."""

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
    """The longest that the event loop was late within the last half minute, in seconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at to say whether a role is well: `reason` says what is wrong, or what was seen."""

    check: str
    ok: bool
    reason: str


def plain(value: Any) -> Any:
    """Return a value of this module as what JSON knows."""
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
    """Add up bytes to targets and back."""
    up = down = 0
    for one, other in carried:
        up, down = up + one, down + other
    return up, down
