"""The supply of idle legs at an opening end: how many to keep, when to request more, which to probe before use, and
which to close. `opening` decides which visitor gets one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall

from gotunnel.core.legpool import LegPool
from gotunnel.interfaces import ILeg
from gotunnel.net.visitor import Queue
from gotunnel.wire.legstate import State

if TYPE_CHECKING:
    from gotunnel.core.view import LegsView

__all__ = ["LegSupply"]

PROBE_AFTER = 10.0
"""Seconds without a frame after which a leg is probed before it gets a visitor (protocol, section 5)."""
UNHURRIED = 0.05
"""Seconds until the pools are checked when nobody waits."""

_CLOSED = State.CLOSED  # looking up an Enum member costs as much as a call in older versions of Python


class LegSupply:
    """The part of an opening end that keeps legs. `waiting` holds the visitors that wait for a leg, by plain or not.
    `most_legs` limits both pools together; `ready` is how many idle legs to keep of each kind. Plain legs are requested
    only with `plain_legs`, and only after the first visitor that needs one."""

    def __init__(
        self, clock: Any, waiting: Mapping[bool, Queue], most_legs: int, ready: int, *, plain_legs: bool
    ) -> None:  # fmt: skip
        self.draining = False
        self.over = False
        self.most_legs = most_legs
        self._clock = clock
        self._waiting = waiting
        self._plain_legs = plain_legs
        self._pools: dict[bool, LegPool[ILeg]] = {False: LegPool(start=ready), True: LegPool(start=0)}
        self._ready = ready
        self._used = {False}  # the kinds of leg that are kept in stock
        self._probing: dict[bool, set[ILeg]] = {False: set(), True: set()}
        self._timer: IDelayedCall | None = None
        self._wakes = 0.0  # when the timer expires
        self._soon = False  # whether it expires within UNHURRIED
        self._legs: set[ILeg] = set()

    # For the subclass to implement.

    def need_legs(self, plain: bool, count: int) -> None:
        """Request `count` more legs."""
        raise NotImplementedError

    def sparing(self) -> bool:
        """Return whether descriptors are so scarce that idle legs should be closed."""
        return False

    def _open_next(self, leg: ILeg) -> None:
        """Give this leg to the visitor that has waited longest."""
        raise NotImplementedError

    # Called by the rest of the session.

    @property
    def legs_held(self) -> int:
        """How many legs are connected."""
        return len(self._legs)

    @property
    def legs_view(self) -> LegsView:
        """The numbers of legs, for an operator."""
        from gotunnel.core.view import LegsView  # imported late: only needed when somebody asks

        pools = self._pools.values()
        idle = sum(pool.idle for pool in pools)
        return LegsView(idle, self.legs_held - idle, self.legs_expected, self.most_legs)

    @property
    def legs_expected(self) -> int:
        """How many legs were requested and have not arrived."""
        return 0 if self.over else sum(pool.requested for pool in self._pools.values())

    def legs_failed(self, plain: bool, count: int) -> None:
        """Note that `count` of the requested legs will not arrive."""
        if plain and not self._plain_legs:
            return  # nobody requested them, and a pool that is not fed would never end its pause
        self._pools[plain].failed(count, self._clock.seconds())
        self.feed()

    def keep_ready(self, count: int) -> None:
        """Keep `count` idle legs of each kind in use, from the next `feed` on."""
        self._ready = count
        for plain in self._used:
            self._pools[plain].start = count

    def open_no_more(self) -> None:
        """Close idle legs and open nothing more; visitors wait for a successor."""
        self.draining = True
        for leg in [leg for pool in self._pools.values() for leg in pool.close()]:
            leg.close()

    def end_legs(self) -> None:
        """The session is over: close idle legs, but let streams go on."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        probing = [leg for legs in self._probing.values() for leg in legs]
        for leg in [leg for pool in self._pools.values() for leg in pool.close()] + probing:
            leg.close()

    # Parts of an opening end.

    def _joined(self, leg: ILeg) -> None:
        """Add a leg that has proved itself."""
        self._legs.add(leg)
        pool = self._pools[leg.plain]
        if leg.plain not in self._used:
            self._used.add(leg.plain)
            pool.start = self._ready
        pool.arrived(self._clock.seconds())

    def _left(self, leg: ILeg) -> bool:
        """Remove a leg that has closed. Returns whether it was being probed."""
        self._pools[leg.plain].discard(leg)
        mute = leg in self._probing[leg.plain]
        self._probing[leg.plain].discard(leg)
        self._legs.discard(leg)
        return mute

    def feed(self) -> None:
        """Give legs to waiting visitors, request more, close surplus ones. Called after every change."""
        if self.over or self.draining:
            return
        now = self._clock.seconds()
        for plain, pool in self._pools.items():
            waiting = self._waiting[plain]
            while len(waiting) > len(self._probing[plain]):
                leg = self._fresh_leg(plain, now)
                if leg is None:
                    break
                self._open_next(leg)
            if plain and not self._plain_legs:
                continue
            other = self._pools[not plain]
            pool.sparing = self.sparing()
            pool.limit = max(0, self.most_legs - other.idle - other.busy - other.requested)
            count = pool.wanted(now, max(0, len(waiting) - len(self._probing[plain])))
            if count:
                self.need_legs(plain, count)
            for leg in pool.surplus(now):
                leg.close()
        self._plan(now)

    def _fresh_leg(self, plain: bool, now: float) -> ILeg | None:
        """Take an idle leg that was heard from lately. One that was not is probed first, and serves when it has
        answered."""
        pool = self._pools[plain]
        leg = pool.take(now)
        while leg is not None and leg.state is _CLOSED:
            pool.discard(leg)  # its connection has broken; `leg_lost` will follow
            leg = pool.take(now)
        if leg is None or now - leg.last_received < PROBE_AFTER:
            return leg
        self._probing[plain].add(leg)
        leg.probe()
        return None

    def _feed_soon(self) -> None:
        """Feed within UNHURRIED seconds. With legs to spare nobody waits for it, and evaluating the pool at every
        arrival and end would cost more than serving a visitor."""
        self._soon = True
        self._wake_in(UNHURRIED)

    def _plan(self, now: float) -> None:
        times = [t for t in (pool.next_check(now) for pool in self._pools.values()) if t is not None]
        if times:
            self._wake_in(min(times))

    def _wake_in(self, seconds: float) -> None:
        """Feed again within `seconds`; waking too early costs little."""
        due = self._clock.seconds() + seconds
        if self._timer is not None and self._wakes <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes = due
        self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._timer, self._soon = None, False
        self.feed()
