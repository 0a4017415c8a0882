"""The immutable values passed to authenticators and access policies, and the answer of an authenticator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gotunnel.core.ports import PortSet

__all__ = ["Accepted", "Dial", "Entry", "Login", "Publication"]


MOST_SECONDS = 1e9
"""The upper limit on `Accepted.seconds`, about thirty years. A larger value is considered a mistake."""


@dataclass(frozen=True, slots=True)
class Login:
    """A client that presents its token.

    `client` is the name it claims (1 to 64 of A-Z a-z 0-9 . _ -), `token` printable ASCII without spaces, and `address`
    the IP address it connects from.
    """

    client: str
    token: str = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client may log in under this name.

    - `who`: what the log calls its owner.
    - `allow_ports`: the ports it may publish, within the server's `allow_ports` and `allow_udp_ports`; None for all.
    - `seconds`: how long it may stay connected; None for no limit.
    - `rights`: a `config.clients.RightsConfig`, as for a client in a file; None for the default rights.

    Raises ValueError for a value of a wrong type or out of range.
    """

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
        # NaN would never expire: all comparisons with it are false.
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MOST_SECONDS
        ):
            raise ValueError(f"its seconds are no number above 0, and at most {MOST_SECONDS:.0f}")


@dataclass(frozen=True, slots=True)
class Publication:
    """A client that wants to listen on a port of the server."""

    client: str
    mapping: str
    bind: str
    port: int
    protocol: str = "tcp"
    """`"tcp"` or `"udp"`."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A client that wants to reach something through the server.

    `target` is an address, also for a node that another client announces, or "mapping:CLIENT/NAME".
    """

    client: str
    target: str
    visitor: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A visitor from `address` that wants to use a mapping of a client."""

    client: str
    mapping: str
    address: str
