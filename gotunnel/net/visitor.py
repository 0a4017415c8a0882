"""A visitor as the opening end sees it, from accept to the log line of its end, and the queue of waiting visitors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from gotunnel.core.accounts import Account
from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.interfaces import ILocal
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.openform import Hashes

__all__ = ["Queue", "Visitor", "Waiting"]


@dataclass(slots=True, eq=False)
class Visitor:
    """One connection to a public port, or to a port that a client forwards. `mapping` names the mapping or forward it
    came to. `conn` is its id in the logs of both ends. Times are monotonic seconds."""

    conn: str
    mapping: str
    plain: bool
    local: ILocal
    arrived: float
    opened: float | None = field(init=False, default=None)
    """When it was given a leg."""
    account: Account | None = field(init=False, default=None)
    """The account it counts on, once it is counted."""
    held: bool = field(init=False, default=False)
    """Whether nothing is read from it until its target has answered, so that another server or target can take over."""
    begins: bytes = field(init=False, default=b"")
    """Bytes that its target gets ahead of its own."""

    special: ClassVar[bool] = False
    """Whether the class overrides `answered`, `elsewhere`, `over` or `came_to`. Here they do nothing, so they are not
    called for most visitors."""

    def __init_subclass__(cls) -> None:
        names = ("answered", "elsewhere", "over", "came_to")
        cls.special = any(getattr(cls, name) is not getattr(Visitor, name) for name in names)

    @property
    def came_to(self) -> str:
        """`mapping` for the log."""
        return self.mapping

    @property
    def shut_out(self) -> Outcome | None:
        """The outcome of a visitor without a leg whose mapping no longer accepts visitors; None while it does."""
        return None

    def body(self) -> OpenBody:
        """Return the body of its OPEN, without a proof."""
        return OpenBody(self.conn, self.local.address, self.mapping)

    def opening(self, hashes: Hashes | None, n: int) -> bytes:
        """Return the encoded body of its OPEN. With a plain leg's hashes it includes the proof for the leg's n-th
        OPEN."""
        body = self.body()
        if hashes is not None:
            body.n, body.mac = n, body.proof(hashes, n)
        return body.encode()

    def allowed(self) -> bool:
        """Return whether it may (still) be served. Overridden where rights can change."""
        return True

    def answered(self) -> None:
        """The target has answered. For subclasses that need to know."""

    def elsewhere(self, outcome: Outcome, end: StreamEnd | None) -> bool:
        """It is not served here, or no longer, with this outcome. Return whether something else serves it now."""
        return False

    def settles(self) -> bool:
        """Move to another client that serves now, if the one it came to is away. Return whether it has moved."""
        return False

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """Its time is over; `end` has details if it was served. For subclasses that need to know."""


class Queue(Protocol):
    """The waiting visitors, as the opening end of a session sees them."""

    def __len__(self) -> int: ...
    def next(self) -> Visitor | None:
        """Take the visitor that has waited longest; None if none waits."""


class Waiting(dict[Visitor, float]):
    """Visitors that wait for a leg, each with the time since when: first come, first served, for `patience` seconds. It
    closes none of them. A dictionary, since its length is asked for at the end of each visitor."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.patience = patience

    def __iter__(self) -> Iterator[Visitor]:
        return iter(tuple(self.keys()))

    def add(self, visitor: Visitor, now: float) -> None:
        """Let a visitor wait. One that comes from elsewhere gets the full patience, too."""
        self[visitor] = now

    def leave(self, visitor: Visitor) -> bool:
        """Remove a visitor; False if it was not waiting."""
        return self.pop(visitor, None) is not None

    def next(self) -> Visitor | None:
        """Take the visitor that has waited longest; None if none waits."""
        visitor = next(iter(self.keys()), None)
        if visitor is not None:
            del self[visitor]
        return visitor

    def expired(self, now: float) -> list[Visitor]:
        """Take the visitors whose patience is over."""
        over: list[Visitor] = []
        for visitor, since in self.items():
            if since + self.patience > now:
                break
            over.append(visitor)
        return self._taken(over)

    def take_all(self, mapping: str | None = None) -> list[Visitor]:
        """Take all visitors, or all of one mapping."""
        return self._taken(self.those_of(mapping))

    def those_of(self, mapping: str | None) -> list[Visitor]:
        """Return all visitors, or all of one mapping."""
        return [v for v in self if mapping in (None, v.mapping)]

    def next_expiry(self, now: float) -> float | None:
        """Return the seconds until `expired` has a result; None while nobody waits."""
        first = next(iter(self.values()), None)
        return None if first is None else max(0.0, first + self.patience - now)

    def _taken(self, visitors: list[Visitor]) -> list[Visitor]:
        for visitor in visitors:
            del self[visitor]
        return visitors
