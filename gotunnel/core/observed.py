"""What observers are told of a visitor, as values that cannot change."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ended", "Stream"]


@dataclass(frozen=True, slots=True)
class Stream:
    """One visitor of a public port, of a forward, or of an egress socket.

    `conn` is his id in the logs of both ends, `client` the name of the client as a server knows it (else empty),
    `mapping` what he came to, `visitor` his address as the log has it; `began` is in monotonic seconds. What a peer has
    said of this is harmless to print.
    """

    conn: str
    client: str
    mapping: str
    visitor: str
    began: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How he fared: `outcome` is a word of `core.outcome.Outcome`, `code` that of the reset that ended it, or empty;
    `up` counts bytes from him to the target, `down` those back; `seconds` is how long he was here."""

    outcome: str
    code: str
    up: int
    down: int
    seconds: float
