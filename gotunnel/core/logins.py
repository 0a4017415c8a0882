"""What authenticators are asked and answer, and what access policies are asked, as values that cannot change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gotunnel.core.ports import PortSet

__all__ = ["Accepted", "Dial", "Entry", "Login", "Publication"]


MOST_SECONDS = 1e9
"""Thirty years: what is longer was meant otherwise."""


@dataclass(frozen=True, slots=True)
class Login:
    """A client that shows its token: the name it says it has, the token, and the IP address it comes from. The name is
    1 to 64 of A-Z a-z 0-9 . _ -, the token printable ASCII without spaces."""

    client: str
    token: str = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """It may come in under that name. `who` is what the log calls its owner; `allow_ports` are the ports that it may
    publish, of those that the server's own `allow_ports` and `allow_udp_ports` have, None: all of these; `seconds` is
    how long it may stay, None: as long as it is connected. `rights` is a `config.clients.RightsConfig`, what a file
    would say of a client; None: it has those of a client of which nothing is said. Raises ValueError for what is none
    of that."""

    who: str = ""
    allow_ports: tuple[int | str, ...] | None = None
    seconds: float | None = None
    rights: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.who, str):
            raise ValueError("its who is no text")
        ports, seconds = self.allow_ports, self.seconds
        if ports is not None:
            try:
                if not isinstance(ports, (tuple, list)):
                    raise TypeError
                PortSet.parse(ports)
            except (TypeError, ValueError):
                raise ValueError("its allow_ports are no ports") from None
        # Not a number would never be over: it is neither more nor less than any.
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MOST_SECONDS
        ):
            raise ValueError(f"its seconds are no number above 0, and at most {MOST_SECONDS:.0f}")


@dataclass(frozen=True, slots=True)
class Publication:
    """A client that would listen on a port of the server."""

    client: str
    mapping: str
    bind: str
    port: int
    protocol: str = "tcp"
    """Or "udp"."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A client that would reach something through the server: `target` is an address, "mapping:CLIENT/NAME", or
    "node:ADDRESS", as `allow_dial` writes it."""

    client: str
    target: str
    visitor: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A visitor, at `address`, who would come to a mapping of a client."""

    client: str
    mapping: str
    address: str
