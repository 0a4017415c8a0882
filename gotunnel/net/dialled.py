"""What a dialling end knows of one visitor: where its OPEN leads, and the state of its stream."""

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
    """Where an OPEN leads. `target` is for the log. `dial` connects like `IRelay.dial`: it may raise DialFailed, or its
    Deferred may fail with it."""

    target: str
    dial: Callable[[], ILocal | Deferred[ILocal]]
    allowed: Callable[[str], bool] | None = None
    """Returns whether the target may (still) be reached, given the IP address that was dialled, or "" while it is
    unknown. None: always."""
    awaited: bool = False
    """Whether the opener reads nothing or little from its visitor before OPENED, which should then be sent at once."""
    header: bytes = b""
    """Bytes that the target gets before the visitor's first byte."""


class DialledStream:
    """The stream of a busy leg: words for the log, and the dial while it is in progress."""

    __slots__ = (
        "account", "allowed", "conn", "cut", "dial", "mapping", "name", "reached", "refused", "source", "started",
    )  # fmt: skip

    def __init__(self, body: OpenBody, started: float) -> None:
        self.conn = body.conn  # printable: the decoder of OPEN accepts nothing else
        self.source = body.src if len(body.src) <= 64 else printable(body.src, 64)
        self.mapping = mapping = body.mapping if body.client is None else None
        """The mapping of this client that the visitor came to; None for anything else."""
        self.name = _name(body) if mapping is None else mapping
        self.started = started
        self.account: Account | None = None
        """The account it counts on, once it is counted."""
        self.dial: Deferred[ILocal] | None = None
        self.refused = False
        """Whether it was refused before anything was dialled."""
        self.allowed: Callable[[str], bool] | None = None  # see Route
        self.reached = ""
        """The IP address that was dialled, once it has answered."""
        self.cut = False
        """Whether it is being reset because it is no longer allowed."""


def cut(leg: ILeg, stream: DialledStream, code: str) -> None:
    """Reset a visitor, even while its target is being dialled. Its opener gets the code."""
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
