"""What a dialling end knows of one visitor: where his OPEN leads, and what runs on his leg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from gotunnel.core.accounts import Account
from gotunnel.errors import printable
from gotunnel.interfaces import ILeg, ILocal
from gotunnel.wire.legbodies import OpenBody

__all__ = ["DialledStream", "Route", "cut"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where an OPEN leads. `target` is for the log, `dial` connects as `IRelay.dial` does: it may raise DialFailed, or
    its Deferred fail."""

    target: str
    dial: Callable[[], ILocal | Deferred[ILocal]]
    allowed: Callable[[str], bool] | None = None
    """Whether it may (still) be reached, given the IP address that was dialled, or "" while none is known. None:
    always."""
    awaited: bool = False
    """The opener reads nothing from its visitor before OPENED, or little: it had better come at once."""
    header: bytes = b""
    """What the target is to get ahead of the visitor's first byte."""


class DialledStream:
    """What runs on a busy leg: words for the log, and the dial while it is under way."""

    __slots__ = (
        "account", "allowed", "conn", "cut", "dial", "mapping", "name", "reached", "refused", "source", "started",
    )  # fmt: skip

    def __init__(self, body: OpenBody, started: float) -> None:
        self.conn = body.conn  # printable: the fields of an OPEN allow nothing else
        self.source = body.src if len(body.src) <= 64 else printable(body.src, 64)
        self.mapping = mapping = body.mapping if body.client is None else None
        """The mapping of this very client that it came to, None for anything else."""
        self.name = _name(body) if mapping is None else mapping
        self.started = started
        self.account: Account | None = None
        """What it is counted on, once it is counted."""
        self.dial: Deferred[ILocal] | None = None
        self.refused = False
        """Nothing was dialled for it."""
        self.allowed: Callable[[str], bool] | None = None  # see Route
        self.reached = ""
        """The IP address that was dialled, once it has answered."""
        self.cut = False
        """Its rights are gone, and it is being reset."""


def cut(leg: ILeg, stream: DialledStream, code: str) -> None:
    """Reset a visitor, also one whose target is still being dialled; his opener is told the code."""
    dial, stream.dial = stream.dial, None
    if dial is None:
        leg.reset(code)
    else:
        dial.cancel()
        leg.refuse(code)


def _name(body: OpenBody) -> str:
    if body.mapping is None:
        return printable(body.dial or "the measurement of a leg")
    return printable(f"{body.client}/{body.mapping}")
