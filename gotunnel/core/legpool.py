"""Which leg serves the next visitor, how many more to ask the other end for, and which idle ones to close.
Knows no sockets and no timers: legs are opaque objects, and its owner asks again at `next_check`."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from gotunnel.core.demand import Demand

__all__ = ["EXCESS_TTL", "FIRST_PAUSE", "LegPool"]

L = TypeVar("L", bound=Hashable)

EXCESS_TTL = 2.0
"""Seconds that idle legs beyond the maximum are kept. Not zero: under a load that swings above the maximum
each leg that comes back would be closed, only to be dialled again a moment later."""
FIRST_PAUSE = 0.5
"""Seconds without asking after the other end said that it cannot bring a leg; doubles until one arrives."""


class LegPool(Generic[L]):
    """The legs of one session and one kind (TLS or plain), as their opener sees them.

    It aims for as many idle legs as recent visitors needed at once: the peak within the last `idle_ttl`
    seconds of visitors that had begun within `idle_ttl` seconds (one that stays for hours says nothing
    about the next), but at least `start` and at most `maximum`. When fewer than half of that are idle or on
    their way, it asks for the rest. Each visitor that waits has a leg on its way in any case. All legs,
    with those on their way, are at most `limit`, which may be set anew at any time.

    A request is forgotten after `request_ttl` seconds. All times are monotonic seconds and must not go
    back. Raises ValueError for numbers that make no pool.
    """

    def __init__(
        self,
        start: int = 2,
        maximum: int = 64,
        request_ttl: float = 10.0,
        idle_ttl: float = 60.0,
        limit: int = 2048,
    ) -> None:
        if not (0 <= start <= maximum and request_ttl > 0 and idle_ttl > 0 and limit >= 0):
            raise ValueError(f"a pool of start={start}, maximum={maximum}, limit={limit}")
        self.limit = limit
        self.sparing = False
        """Descriptors are scarce: beyond `start`, no legs but for visitors that wait, and idle ones go soon."""
        self.start = start
        """Idle legs that stay when no visitor has come for long. It may be set anew at any time."""
        self._maximum = maximum
        self._request_ttl = request_ttl
        self.free: OrderedDict[L, float] = OrderedDict()  # and no dict, see Demand
        """The idle legs, and since when, the most recently used last. To be changed by nobody else."""
        self._busy: set[L] = set()
        self._requests: deque[list[float]] = deque()  # [count, when it is forgotten], oldest first
        self._requested = 0
        self._pause = 0.0
        self._paused_until: float | None = None
        self._demand: Demand[L] = Demand(idle_ttl)
        self._idle_ttl = idle_ttl
        self._closed = False

    @property
    def idle(self) -> int:
        """Legs that could serve a visitor at once."""
        return len(self.free)

    @property
    def busy(self) -> int:
        """Legs that serve a visitor."""
        return len(self._busy)

    @property
    def requested(self) -> int:
        """Legs that were asked for and neither came, failed nor were forgotten as of the last `wanted`."""
        return self._requested

    @property
    def full(self) -> bool:
        """Whether the session holds all the legs that it may: one more is to be refused."""
        return self.idle + self.busy >= self.limit

    def arrived(self, now: float) -> None:
        """A leg has proved itself; `put` follows. Settles the oldest request; one that comes late is
        welcome."""
        self._settle(1)
        self._pause = 0.0
        self._paused_until = None

    def put(self, leg: L, now: float) -> bool:
        """Make a leg idle: a new one, or one whose visitor is over. False if the pool is closed: close the
        leg.

        Raises ValueError for a leg that is idle already; it would serve two visitors at once.
        """
        if leg in self.free:
            raise ValueError("the leg is idle already")
        if leg in self._busy:
            self._busy.discard(leg)
            self._demand.over(leg, now)
        if self._closed:
            return False
        self.free[leg] = now
        return True

    def take(self, now: float) -> L | None:
        """Return the idle leg that was used last, busy from now on; None when there is none, and then the
        visitor waits and counts in `wanted`. The most recent one, so that those that are not needed grow
        old together."""
        if not self.free:
            return None
        leg, _ = self.free.popitem()
        self._busy.add(leg)
        self._demand.began(leg, now)
        return leg

    def discard(self, leg: L) -> None:
        """Forget a leg that is gone or must not be used again, idle or busy. An unknown one is none of
        ours."""
        self.free.pop(leg, None)
        self._busy.discard(leg)
        self._demand.forget(leg)

    def failed(self, count: int, now: float) -> None:
        """The other end cannot bring `count` of the legs asked for. The pool pauses before it asks again,
        or the two would tell each other so without end."""
        self._settle(count)
        self._pause = min(self._request_ttl, max(FIRST_PAUSE, 2 * self._pause))
        self._paused_until = now + self._pause

    def wanted(self, now: float, waiting: int) -> int:
        """Return how many legs to ask for now, while `waiting` visitors have none, and count them as
        requested.

        To be called after every event and at `next_check`; 0 means that there is nothing to ask for.
        """
        while self._requests and self._requests[0][1] <= now:
            self._requested -= int(self._requests.popleft()[0])
        if self._paused_until is not None:
            if now < self._paused_until:
                return 0
            self._paused_until = None
        if self._closed:
            return 0
        coming = self.idle + self._requested
        spare = max(0, coming - waiting)
        aim = self._aim(now)
        count = max(0, waiting - coming) + (aim - spare if 2 * spare < aim else 0)
        count = max(0, min(count, self.limit - coming - self.busy))
        if count:
            self._requests.append([count, now + self._request_ttl])
            self._requested += count
        return count

    def surplus(self, now: float) -> list[L]:
        """Return the idle legs to close, oldest first; they have left the pool.

        Those are legs beyond what the pool aims for that were idle for `idle_ttl` seconds, and legs beyond
        `maximum` that were idle for EXCESS_TTL seconds.
        """
        legs: list[L] = []
        aim = self._aim(now)
        while self.idle > aim:
            leg, since = next(iter(self.free.items()))
            if since + self._ttl() > now:
                break
            self.discard(leg)
            legs.append(leg)
        return legs

    def next_check(self, now: float) -> float | None:
        """Return in how many seconds to call `wanted` and `surplus` again if nothing happens before; None:
        never."""
        times: list[float] = []
        if self._requests:
            times.append(self._requests[0][1])
        if self._paused_until is not None:
            times.append(self._paused_until)
        if self.idle > self.start:
            old = next(iter(self.free.values())) + self._ttl()
            falls = self._demand.falls_at() if self.idle <= self._aim(now) else None
            times.append(old if falls is None else max(old, falls))
        return max(0.0, min(times) - now) if times else None

    def close(self) -> list[L]:
        """Stop: hand out, take in and ask for nothing any more. Returns the idle legs, which are to be
        closed; busy ones live on until `put` or `discard`."""
        self._closed = True
        legs = list(self.free)
        for leg in legs:
            self.discard(leg)
        self._requests.clear()
        self._requested = 0
        self._paused_until = None
        return legs

    def _aim(self, now: float) -> int:
        return self.start if self.sparing else max(self.start, min(self._maximum, self._demand.peak(now)))

    def _ttl(self) -> float:
        return min(self._idle_ttl, EXCESS_TTL) if self.sparing or self.idle > self._maximum else self._idle_ttl

    def _settle(self, count: int) -> None:
        while count > 0 and self._requests:
            settled = min(count, int(self._requests[0][0]))
            self._requests[0][0] -= settled
            self._requested -= settled
            count -= settled
            if not self._requests[0][0]:
                self._requests.popleft()
