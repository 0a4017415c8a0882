"""Decides which leg serves the next visitor, how many legs to request, and which idle ones to close.

It knows no sockets and no timers: legs are opaque objects, and the owner calls again at `next_check`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from gotunnel.core.demand import Demand

__all__ = ["EXCESS_TTL", "FIRST_PAUSE", "LegPool"]

L = TypeVar("L", bound=Hashable)

EXCESS_TTL = 2.0
"""Seconds for which idle legs above the maximum are kept. If it were zero, a load that fluctuates around the maximum
would close each returning leg and dial it again a moment later."""
FIRST_PAUSE = 0.5
"""Seconds without requests after the peer reported that it cannot provide a leg; doubles until one arrives."""


class LegPool(Generic[L]):
    """The legs of one session and one kind (TLS or plain), as their opener sees them.

    The pool aims for as many idle legs as recent visitors needed at once, but at least `start` and at most `maximum`.
    The demand is the peak within the last `idle_ttl` seconds of visitors that began within `idle_ttl` seconds, because
    one that stays for hours says nothing about the next.

    - If fewer than half of that are idle or requested, it requests the rest.
    - It always requests a leg for each waiting visitor.
    - All legs, including requested ones, number at most `limit`, which can be changed at any time.
    - A request is forgotten after `request_ttl` seconds.

    Times are monotonic seconds and must not go back. Raises ValueError for inconsistent numbers.
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
        """Descriptors are scarce: above `start`, request legs only for waiting visitors, and close idle ones soon."""
        self.start = start
        """The number of idle legs that stay even without visitors. It can be changed at any time."""
        self._maximum = maximum
        self._request_ttl = request_ttl
        self.free: OrderedDict[L, float] = OrderedDict()  # not a dict, for the reason given in Demand
        """The idle legs and since when they are idle, the most recently used last. Read-only for others."""
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
        """The number of idle legs."""
        return len(self.free)

    @property
    def busy(self) -> int:
        """The number of legs that serve a visitor."""
        return len(self._busy)

    @property
    def requested(self) -> int:
        """The number of legs requested that have not arrived, failed or been forgotten as of the last `wanted`."""
        return self._requested

    @property
    def full(self) -> bool:
        """Whether the session has all the legs it may have, so that a further one must be refused."""
        return self.idle + self.busy >= self.limit

    def arrived(self, now: float) -> None:
        """Record that a new leg has authenticated; call `put` next.

        This settles the oldest request. A leg that arrives after its request was forgotten is accepted too.
        """
        self._settle(1)
        self._pause = 0.0
        self._paused_until = None

    def put(self, leg: L, now: float) -> bool:
        """Make a leg idle: a new one, or one whose visitor has finished.

        Returns False if the pool is closed; the caller must then close the leg. Raises ValueError for a leg that is
        already idle, because it would serve two visitors at once.
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
        """Return the most recently used idle leg, which becomes busy; None if there is none.

        In that case, count the visitor as waiting in `wanted`. The most recent leg is used so that surplus legs age.
        """
        if not self.free:
            return None
        leg, _ = self.free.popitem()
        self._busy.add(leg)
        self._demand.began(leg, now)
        return leg

    def discard(self, leg: L) -> None:
        """Forget a leg, idle or busy, that has closed or must not be reused. Unknown legs are ignored."""
        self.free.pop(leg, None)
        self._busy.discard(leg)
        self._demand.forget(leg)

    def failed(self, count: int, now: float) -> None:
        """Record that the peer cannot provide `count` of the requested legs.

        The pool pauses before it asks again, or requests and failures would alternate without end.
        """
        self._settle(count)
        self._pause = min(self._request_ttl, max(FIRST_PAUSE, 2 * self._pause))
        self._paused_until = now + self._pause

    def wanted(self, now: float, waiting: int) -> int:
        """Return how many legs to request now while `waiting` visitors have none, and count them as requested.

        Call this after each event and at `next_check`.
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
        """Return the idle legs to close, oldest first. They are removed from the pool.

        These are legs above the pool's aim that were idle for `idle_ttl` seconds, or for EXCESS_TTL seconds if more
        than `maximum` legs are idle or descriptors are scarce.
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
        """Return in how many seconds to call `wanted` and `surplus` again if nothing else happens; None for never."""
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
        """Stop handing out, accepting and requesting legs. Returns the idle legs, which the caller must close.

        Busy legs remain until `put` or `discard`.
        """
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
