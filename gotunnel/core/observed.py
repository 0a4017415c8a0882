"""The immutable values that observers receive about a visitor."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ended", "Stream"]


@dataclass(frozen=True, slots=True)
class Stream:
    """One visitor of a public port, a forward or an egress socket.

    `conn` is its id in the logs of both ends. `client` is the name of the client as a server knows it, otherwise empty.
    `mapping` is what the visitor connected to, `visitor` its address as logged, and `began` its start in monotonic
    seconds. Text from peers has been made safe to print.
    """

    conn: str
    client: str
    mapping: str
    visitor: str
    began: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a visitor finished.

    `outcome` is a value of `core.outcome.Outcome`; `code` that of the reset that ended it, or empty. `up` counts bytes
    from the visitor to the target, `down` those back; `seconds` is the duration.
    """

    outcome: str
    code: str
    up: int
    down: int
    seconds: float
