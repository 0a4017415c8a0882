"""The messages of the two handshakes (control connection and leg) and of enrolment, and the error that can end them.

`gotunnel.wire.messages` encodes them. `gotunnel.wire.keys` defines what the MACs cover.
"""

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
"""The protocol version that this package speaks."""
FORWARD = "forward"
"""Server capability: it accepts forward legs, and mappings without a public port."""
NODES = "nodes"
"""Server capability: it forwards to the nodes that clients announce."""
GROUPS = "groups"
"""Server capability: several clients may publish one port as a group."""
MEASURE = "measure"
"""Server capability: a forward leg may be opened to the server itself, to measure it."""
PLAIN_LEGS = "plain_legs"
"""Server capability: legs may run outside TLS. A client that opens legs must know this before it dials."""

UDP = "udp"
"""Capability of both ends: they can carry datagrams, that is, mappings with `protocol` `udp`."""
BEARER = "bearer"
"""Capability of a server that accepts the token itself, and of a client that would send it."""
ENROL = "enrol"
"""Client capability, in its hello: it can receive a lasting token."""
MAPPING_STATE = "mapping_state"
"""Client capability, in its hello: it understands that its server does not admit visitors to a mapping."""
FORWARD_STATE = "forward_state"
"""Client capability: it understands the same about another client's mapping that its forwards may reach."""

EXAMINES = "doctor"
"""The last word of `agent` in the hello of a client that only checks whether its login works and serves nothing."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first message: the newest and oldest version it speaks, its name and 32 random bytes.

    `instance` is random per process.
    """

    v: Version
    min_v: Version
    client: ClientName
    nonce: Nonce
    caps: tuple[Capability, ...] = ()
    instance: Instance | None = None
    agent: Agent | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's answer to a hello: the version chosen, the session id (16 bytes) and 32 random bytes.

    `server` is random per process: it lets a client with several addresses recognise that two of them lead to the same
    server. `time` is the server's wall clock, so that the client can compare it with its own.
    """

    v: Version
    sid: SessionId
    nonce: Nonce
    caps: tuple[Capability, ...] = ()
    server: Instance | None = None
    time: UnixTime | None = None


@dataclass(frozen=True, slots=True)
class Auth:
    """The client's answer to a challenge: the proof that it holds the token (32 bytes)."""

    mac: Mac = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """The client's answer to a challenge in place of an auth: the token itself, for a server that asks others about it.

    `mac` proves that the token was meant for this connection. Sent only to a server that a certificate has proved.
    """

    token: BearerToken = field(repr=False)
    mac: Mac = field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many mappings, legs and visitors a client may have. The server enforces these limits."""

    mappings: Limit
    legs: Limit
    visitors: Limit


@dataclass(frozen=True, slots=True)
class AuthOk:
    """The server's answer to an auth: its own proof and the parameters of the session.

    `heartbeat` is the interval of pings and `heartbeat_timeout` the silence after which the peer is considered dead,
    both in seconds. `leg_sni` is the TLS server name that legs send, used for routing only.
    """

    mac: Mac = field(repr=False)
    heartbeat: Seconds
    heartbeat_timeout: Seconds
    limits: Limits
    leg_sni: ServerName | None = None

    def misfit(self) -> str | None:
        """Return what is inconsistent between the fields, or None."""
        fits = self.heartbeat < self.heartbeat_timeout
        return None if fits else ".heartbeat must be below heartbeat_timeout"


@dataclass(frozen=True, slots=True)
class Enrol:
    """The lasting token, sent by the server directly after auth_ok to a client that proved a one-time token."""

    token: Token = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """From the client: it has stored the lasting token. The server's answer: only that token is valid from now on."""


@dataclass(frozen=True, slots=True)
class Error:
    """Sent by either end before it closes. `retry_after` is a suggestion, in seconds."""

    code: Code
    reason: Reason = ""
    retry_after: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """The client's first message on a new leg: session id, a number used once per session, the opener, the proof."""

    sid: SessionId
    seq: Counter
    purpose: Purpose
    mac: Mac = field(repr=False)
    v: Version = VERSION

    def misfit(self) -> str | None:
        """Return what is wrong with the version, or None."""
        return None if self.v == VERSION else f".v must be {VERSION}"


@dataclass(frozen=True, slots=True)
class LegOk:
    """The server's answer to a leg: its own proof. Leg frames follow."""

    mac: Mac = field(repr=False)
