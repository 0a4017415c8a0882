"""The legs of an opening end that are there before they are needed: how many are kept, when more are wanted, which are
tried before they serve, and which are let go. Who gets one is for `opening`."""

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
"""Seconds without a frame after which a leg is tried before it gets a visitor (protocol, section 5)."""
UNHURRIED = 0.05
"""Seconds until the pools are looked at when nobody waits."""

_CLOSED = State.CLOSED  # to ask an Enum for a member takes as long as a call, in older versions of Python


class LegSupply:
    """One half of an opening end. `waiting` are the visitors that wait for a leg, plain or not. `most_legs` is for both
    pools together, `ready` for how many idle legs are kept of either kind. No plain leg is wanted unless `plain_legs`,
    and until the first visitor has come for one."""

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
        self._used = {False}  # the kinds of which legs are kept
        self._probing: dict[bool, set[ILeg]] = {False: set(), True: set()}
        self._timer: IDelayedCall | None = None
        self._wakes = 0.0  # when the timer strikes
        self._soon = False  # it strikes within UNHURRIED
        self._legs: set[ILeg] = set()

    # For the subclass to say.

    def need_legs(self, plain: bool, count: int) -> None:
        """See to it that so many legs more are made."""
        raise NotImplementedError

    def sparing(self) -> bool:
        """Say whether descriptors are scarce, and idle legs better closed."""
        return False

    def _open_next(self, leg: ILeg) -> None:
        """Give this leg to who has waited longest."""
        raise NotImplementedError

    # For the rest of the session.

    @property
    def legs_held(self) -> int:
        """Legs that are there."""
        return len(self._legs)

    @property
    def legs_view(self) -> LegsView:
        """How many legs there are, for an operator."""
        from gotunnel.core.view import LegsView  # only one who looks needs the words

        pools = self._pools.values()
        idle = sum(pool.idle for pool in pools)
        return LegsView(idle, self.legs_held - idle, self.legs_expected, self.most_legs)

    @property
    def legs_expected(self) -> int:
        """Legs that were wanted and are not there yet."""
        return 0 if self.over else sum(pool.requested for pool in self._pools.values())

    def legs_failed(self, plain: bool, count: int) -> None:
        """So many of the legs that were wanted will not come."""
        if plain and not self._plain_legs:
            return  # nobody asked, and a pool that is not fed would never end its pause
        self._pools[plain].failed(count, self._clock.seconds())
        self.feed()

    def keep_ready(self, count: int) -> None:
        """Keep so many idle legs of each kind that is used; `feed` sees to it."""
        self._ready = count
        for plain in self._used:
            self._pools[plain].start = count

    def open_no_more(self) -> None:
        """Let idle legs go; visitors wait for a successor."""
        self.draining = True
        for leg in [leg for pool in self._pools.values() for leg in pool.close()]:
            leg.close()

    def end_legs(self) -> None:
        """The session is over: idle legs close, streams go on."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        probing = [leg for legs in self._probing.values() for leg in legs]
        for leg in [leg for pool in self._pools.values() for leg in pool.close()] + probing:
            leg.close()

    # Parts of an opening end.

    def _joined(self, leg: ILeg) -> None:
        """A leg has proved itself."""
        self._legs.add(leg)
        pool = self._pools[leg.plain]
        if leg.plain not in self._used:
            self._used.add(leg.plain)
            pool.start = self._ready
        pool.arrived(self._clock.seconds())

    def _left(self, leg: ILeg) -> bool:
        """A leg is gone. Say whether that was while it was tried."""
        self._pools[leg.plain].discard(leg)
        mute = leg in self._probing[leg.plain]
        self._probing[leg.plain].discard(leg)
        self._legs.discard(leg)
        return mute

    def feed(self) -> None:
        """Give legs to those who wait, want more, close what is not needed. Called after every change."""
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
        """Take an idle leg that was heard of lately. An older one is tried first, and serves when it has answered."""
        pool = self._pools[plain]
        leg = pool.take(now)
        while leg is not None and leg.state is _CLOSED:
            pool.discard(leg)  # its connection has broken, and `leg_lost` is on its way
            leg = pool.take(now)
        if leg is None or now - leg.last_received < PROBE_AFTER:
            return leg
        self._probing[plain].add(leg)
        leg.probe()
        return None

    def _feed_soon(self) -> None:
        """Feed within UNHURRIED seconds: with legs to spare nobody waits for it, and to weigh the pool anew at each
        coming and going would cost more than to serve a visitor."""
        self._soon = True
        self._wake_in(UNHURRIED)

    def _plan(self, now: float) -> None:
        times = [t for t in (pool.next_check(now) for pool in self._pools.values()) if t is not None]
        if times:
            self._wake_in(min(times))

    def _wake_in(self, seconds: float) -> None:
        """Feed again no later than that; to wake too early costs little."""
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
