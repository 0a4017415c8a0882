"""A visitor as the opening end knows him, from accept to the log line of his end."""

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
    """One connection to a public port, or to a port that a client forwards. `mapping` is what it came to, `conn` its id
    in both ends' logs; times are monotonic seconds."""

    conn: str
    mapping: str
    plain: bool
    local: ILocal
    arrived: float
    opened: float | None = field(init=False, default=None)
    """When he was given a leg."""
    account: Account | None = field(init=False, default=None)
    """What he is counted on, once he is counted."""
    held: bool = field(init=False, default=False)
    """Nothing is read from him until his target has answered, so that another one can serve him if it does not."""
    begins: bytes = field(init=False, default=b"")
    """What goes to his target ahead of his own bytes."""

    special: ClassVar[bool] = False
    """Whether his class has `answered`, `elsewhere`, `over` or `came_to` for itself: here they say and do nothing, and
    of most visitors nobody asks them."""

    def __init_subclass__(cls) -> None:
        names = ("answered", "elsewhere", "over", "came_to")
        cls.special = any(getattr(cls, name) is not getattr(Visitor, name) for name in names)

    @property
    def came_to(self) -> str:
        """`mapping` for the log."""
        return self.mapping

    @property
    def shut_out(self) -> Outcome | None:
        """The outcome of a visitor without a leg if what it came to admits nobody any more; None while it does."""
        return None

    def body(self) -> OpenBody:
        """What his OPEN says, without a proof."""
        return OpenBody(self.conn, self.local.address, self.mapping)

    def opening(self, hashes: Hashes | None, n: int) -> bytes:
        """Return the body of his OPEN; with a plain leg's hashes it has the proof of the n-th one there."""
        body = self.body()
        if hashes is not None:
            body.n, body.mac = n, body.proof(hashes, n)
        return body.encode()

    def allowed(self) -> bool:
        """Whether he may (still) be served. For those whose rights can change."""
        return True

    def answered(self) -> None:
        """His target answered. For those who wait to hear it."""

    def elsewhere(self, outcome: Outcome, end: StreamEnd | None) -> bool:
        """He is not served here, or no more, with this outcome. Say whether somebody else has him now."""
        return False

    def settles(self) -> bool:
        """Move to another one who serves now, if the one it came to is away; return whether it has moved."""
        return False

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """He was served (then `end` tells more), or will not be. For those who wait to hear it."""


class Queue(Protocol):
    """Visitors that wait for a leg, as the opening end of a session sees them."""

    def __len__(self) -> int: ...
    def next(self) -> Visitor | None:
        """Take the one that has waited longest."""


class Waiting(dict[Visitor, float]):
    """Visitors that wait for a leg, with since when each does: first come first served, and for a limited time. Closes
    none itself. A dictionary, since how many they are is asked at the end of each visitor."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.patience = patience

    def __iter__(self) -> Iterator[Visitor]:
        return iter(tuple(self.keys()))

    def add(self, visitor: Visitor, now: float) -> None:
        """Let him wait. One who comes from elsewhere waits as long as others do."""
        self[visitor] = now

    def leave(self, visitor: Visitor) -> bool:
        """He waits no more; False if he did not."""
        return self.pop(visitor, None) is not None

    def next(self) -> Visitor | None:
        """Take the one that has waited longest."""
        visitor = next(iter(self.keys()), None)
        if visitor is not None:
            del self[visitor]
        return visitor

    def expired(self, now: float) -> list[Visitor]:
        """Take those whose patience is over."""
        over: list[Visitor] = []
        for visitor, since in self.items():
            if since + self.patience > now:
                break
            over.append(visitor)
        return self._taken(over)

    def take_all(self, mapping: str | None = None) -> list[Visitor]:
        """Take everybody, or everybody of one mapping."""
        return self._taken(self.those_of(mapping))

    def those_of(self, mapping: str | None) -> list[Visitor]:
        """Return everybody, or everybody of one mapping."""
        return [v for v in self if mapping in (None, v.mapping)]

    def next_expiry(self, now: float) -> float | None:
        """Seconds until `expired` has something to say; None while nobody waits."""
        first = next(iter(self.values()), None)
        return None if first is None else max(0.0, first + self.patience - now)

    def _taken(self, visitors: list[Visitor]) -> list[Visitor]:
        for visitor in visitors:
            del self[visitor]
        return visitors
