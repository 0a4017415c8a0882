"""The messages of the two handshakes, of a control connection and of a leg, of enrolment, and the error that ends any.
How they become payloads is in `gotunnel.wire.messages`; what is in the MACs, in `gotunnel.wire.keys`."""

from __future__ import annotations

from dataclasses import dataclass, field

from gotunnel.wire.fields import (
    Agent,
    BearerToken,
    Capability,
    ClientName,
    Code,
    Counter,
    Instance,
    Limit,
    Mac,
    Nonce,
    Purpose,
    Reason,
    Seconds,
    ServerName,
    SessionId,
    Token,
    UnixTime,
    Version,
)

__all__ = [
    "BEARER", "ENROL", "EXAMINES", "FORWARD", "FORWARD_STATE", "GROUPS", "MAPPING_STATE", "MEASURE", "NODES",
    "PLAIN_LEGS", "UDP", "VERSION", "Auth", "AuthOk", "Bearer", "Challenge", "Enrol", "Enrolled", "Error", "Hello",
    "Leg", "LegOk", "Limits",
]  # fmt: skip

VERSION = 2
"""The one version of the protocol that is spoken here."""
FORWARD = "forward"
"""What a server's `caps` hold that takes forward legs, and mappings without a public port."""
NODES = "nodes"
"""What they hold when the server leads to the nodes that clients announce."""
GROUPS = "groups"
"""What they hold when several clients may publish one port as a group."""
MEASURE = "measure"
"""What they hold when a forward leg may be opened towards the server itself, to measure it."""
PLAIN_LEGS = "plain_legs"
"""What they hold when legs may run outside TLS: a client that opens must know before it dials."""

UDP = "udp"
"""What those of both ends hold that can carry datagrams: a mapping with `protocol` `udp`."""
BEARER = "bearer"
"""The capability of a server that can take the token itself, and of a client that would show it."""
ENROL = "enrol"
"""The capability of a client that can take a lasting token, in its hello."""
MAPPING_STATE = "mapping_state"
"""The capability of a client that can be told that its server lets nobody in to a mapping, in its hello."""
FORWARD_STATE = "forward_state"
"""That of one that can be told the same of another client's mapping, to which its forwards may lead."""

EXAMINES = "doctor"
"""The last word of the `agent` in a hello whose sender only looks whether its login works, and serves nobody."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Client, first: the newest and the oldest version it speaks, its name, 32 random bytes. `instance` is
    random per process."""

    v: Version
    min_v: Version
    client: ClientName
    nonce: Nonce
    caps: tuple[Capability, ...] = ()
    instance: Instance | None = None
    agent: Agent | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """Server, to a hello: the version chosen, the id of the session (16 bytes), 32 random bytes. `server` is random per
    process: a client with several addresses learns that two of them lead to one server. `time` is its wall clock's, for
    comparison."""

    v: Version
    sid: SessionId
    nonce: Nonce
    caps: tuple[Capability, ...] = ()
    server: Instance | None = None
    time: UnixTime | None = None


@dataclass(frozen=True, slots=True)
class Auth:
    """Client, to a challenge: the proof that it holds the token (32 bytes)."""

    mac: Mac = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Client, to a challenge, in place of an auth: the token itself, for a server that asks others about it, and the
    proof that it was meant for this connection. Only to a server that a certificate has proved."""

    token: BearerToken = field(repr=False)
    mac: Mac = field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of each a client may have; the server enforces it."""

    mappings: Limit
    legs: Limit
    visitors: Limit


@dataclass(frozen=True, slots=True)
class AuthOk:
    """Server, to an auth: its own proof, the pace of pings and the silence that means death (seconds), the
    limits, and the TLS server name that legs send, for routing only."""

    mac: Mac = field(repr=False)
    heartbeat: Seconds
    heartbeat_timeout: Seconds
    limits: Limits
    leg_sni: ServerName | None = None

    def misfit(self) -> str | None:
        """Say what is wrong between the fields."""
        fits = self.heartbeat < self.heartbeat_timeout
        return None if fits else ".heartbeat must be below heartbeat_timeout"


@dataclass(frozen=True, slots=True)
class Enrol:
    """Server, right behind its auth_ok, to a client that proved a one-time token: the lasting one."""

    token: Token = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Client: the lasting token is stored. Server, as the answer: from now on it alone is valid."""


@dataclass(frozen=True, slots=True)
class Error:
    """Either end, before it closes. `retry_after` is a wish, in seconds."""

    code: Code
    reason: Reason = ""
    retry_after: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """Client, first on a new leg: the session, a number that serves once in it, who opens, and the proof."""

    sid: SessionId
    seq: Counter
    purpose: Purpose
    mac: Mac = field(repr=False)
    v: Version = VERSION

    def misfit(self) -> str | None:
        """Say what is wrong between the fields and the one version there is."""
        return None if self.v == VERSION else f".v must be {VERSION}"


@dataclass(frozen=True, slots=True)
class LegOk:
    """Server, to a leg: its own proof. Leg frames follow."""

    mac: Mac = field(repr=False)
