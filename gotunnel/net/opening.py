"""The opening end of one session's legs: which visitor gets which leg, when more legs are wanted, and which are let go.
The server opens on reverse legs, a client on forward legs. How a leg comes to be, and where the visitors wait, is for
the subclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from gotunnel.core.legpool import LegPool
from gotunnel.core.stream import GOING_AWAY, KICKED, StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import printable, said_behind
from gotunnel.interfaces import ILeg, ILegOwner
from gotunnel.logs import Logger
from gotunnel.net.greeting import SessionKey
from gotunnel.net.legacts import BREACH, BREACH_WORDS
from gotunnel.net.visitor import Queue, Visitor
from gotunnel.net.warnings import Warnings
from gotunnel.wire.fields import Purpose
from gotunnel.wire.handshake import open_mac
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import State

if TYPE_CHECKING:
    from gotunnel.core.view import LegsView

__all__ = ["OpeningEnd"]

PROBE_AFTER = 10.0
"""Seconds without a frame after which a leg is tried before it gets a visitor (protocol, section 5)."""
UNHURRIED = 0.05
"""Seconds until the pools are looked at when nobody waits."""


@implementer(ILegOwner)
class OpeningEnd:
    """Half of a session. It outlives the control connection while streams run.

    `waiting` are the visitors that wait for a leg, plain or not; they outlive the session. `most_legs` is for both
    pools together, `ready` for how many idle legs are kept of either kind. No plain leg is wanted unless `plain_legs`,
    and until the first visitor has come for one.
    `usage` adds up what becomes of all this.
    """

    log = Logger()
    purpose: ClassVar[Purpose]

    def __init__(
        self, clock: Any, key: SessionKey, waiting: Mapping[bool, Queue], most_legs: int, ready: int, usage: Usage, *,
        plain_legs: bool,
    ) -> None:  # fmt: skip
        self.key = key
        self.usage = usage
        self.draining = False
        self.over = False
        self.streams: dict[ILeg, Visitor] = {}
        self._clock = clock
        self._waiting = waiting
        self.most_legs = most_legs
        self._plain_legs = plain_legs
        self._pools: dict[bool, LegPool[ILeg]] = {False: LegPool(start=ready), True: LegPool(start=0)}
        self._ready = ready
        self._used = {False}  # the kinds of which legs are kept
        self._probing: dict[bool, set[ILeg]] = {False: set(), True: set()}
        self._timer: IDelayedCall | None = None
        self._wakes = 0.0  # when the timer strikes
        self._soon = False  # it strikes within UNHURRIED
        self._legs: set[ILeg] = set()
        self._warn = Warnings(self.log, clock).warn

    # For the subclass to say.

    def need_legs(self, plain: bool, count: int) -> None:
        """See to it that so many legs more are made."""
        raise NotImplementedError

    def legs_gone(self) -> None:
        """The last leg is gone."""
        raise NotImplementedError

    def visitor_opened(self, visitor: Visitor) -> None:
        """A visitor has a leg."""
        raise NotImplementedError

    def visitor_ended(self, visitor: Visitor, end: StreamEnd) -> None:
        """A visitor's time on his leg is over."""
        raise NotImplementedError

    def visitor_denied(self, visitor: Visitor) -> None:
        """A visitor without a leg may not be served: turn him away."""
        raise NotImplementedError

    def opening(self, visitor: Visitor) -> OpenBody:
        """Return what to say in the OPEN, without a proof."""
        raise NotImplementedError

    def leg_mute(self) -> None:
        """A leg that was tried is gone without an answer: the other end may not be there any more."""

    def sparing(self) -> bool:
        """Say whether descriptors are scarce, and idle legs better closed."""
        return False

    # For the rest of the session.

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

    def reset_streams(self) -> None:
        """Cut what still streams."""
        for leg in tuple(self.streams):
            leg.reset(GOING_AWAY)

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id; False if none has a leg."""
        for leg, visitor in self.streams.items():
            if visitor.conn == conn:
                leg.reset(KICKED)
                return True
        return False

    def reset_denied(self) -> None:
        """Cut those who may not be served any more."""
        for leg in [leg for leg, visitor in self.streams.items() if not visitor.allowed()]:
            leg.reset("acl_denied")

    def drop_legs(self) -> None:
        """Close all legs that are left, whatever they do."""
        for leg in tuple(self._legs):
            leg.close()

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

    # Legs and visitors.

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

    def leg_arrived(self, leg: ILeg) -> None:
        """A leg has proved itself."""
        self._legs.add(leg)
        self.usage.legs_created += 1
        pool = self._pools[leg.plain]
        if leg.plain not in self._used:
            self._used.add(leg.plain)
            pool.start = self._ready
        pool.arrived(self._clock.seconds())
        self.leg_idle(leg)

    def serve(self, visitor: Visitor) -> bool:
        """Give a visitor a leg; False when there is none that is known to live, and then he waits. One who may not be
        served is turned away."""
        if self.draining or self.over:
            return False
        if not visitor.allowed():
            self.visitor_denied(visitor)
            return True
        leg = self._fresh_leg(visitor.plain)
        if leg is None:
            return False
        self._open(leg, visitor)
        if not self._pools[visitor.plain].idle:
            self.feed()
        elif not self._soon:
            self._feed_soon()
        return True

    def feed(self) -> None:
        """Give legs to those who wait, want more, close what is not needed. Called after every change."""
        if self.over or self.draining:
            return
        now = self._clock.seconds()
        for plain, pool in self._pools.items():
            waiting = self._waiting[plain]
            while len(waiting) > len(self._probing[plain]):
                leg = self._fresh_leg(plain)
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

    # ILegOwner.

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        """Never happens at an opener: its machine takes an OPEN for a breach."""

    def leg_abandoned(self, leg: ILeg) -> None:
        """Never happens at an opener."""

    def leg_answered(self, leg: ILeg) -> None:
        """The target answered."""
        visitor = self.streams.get(leg)
        if visitor is not None:
            if visitor.opened is not None:
                self.usage.answer.observe(self._clock.seconds() - visitor.opened)
            visitor.answered()

    def leg_first_byte(self, leg: ILeg) -> None:
        """The target has said something."""
        visitor = self.streams.get(leg)
        if visitor is not None:
            self.usage.first_byte.observe(self._clock.seconds() - visitor.arrived)

    def leg_probed(self, leg: ILeg) -> None:
        """It lives: whoever waits first gets it."""
        self._probing[leg.plain].discard(leg)
        self._open_next(leg)
        self.feed()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """A visitor's time is over."""
        self.visitor_ended(self.streams.pop(leg), end)

    def leg_idle(self, leg: ILeg) -> None:
        """The leg is free for the next visitor, or not needed any more."""
        if self.over or self.draining or not self._pools[leg.plain].put(leg, self._clock.seconds()):
            leg.close()
            return
        if self._waiting[leg.plain]:
            self.feed()
        elif not self._soon:
            self._feed_soon()

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """The leg is gone."""
        self._pools[leg.plain].discard(leg)
        mute = leg in self._probing[leg.plain]
        self._probing[leg.plain].discard(leg)
        self._legs.discard(leg)
        if reason.startswith(BREACH):
            self._warn("breach", BREACH_WORDS, reason=printable(said_behind(BREACH, reason)))
        self.log.debug("a {purpose} leg is gone: {reason}", purpose=self.purpose, reason=printable(reason))
        self.feed()
        if mute:
            self.leg_mute()
        if not self._legs:
            self.legs_gone()

    # Parts of the above.

    def _fresh_leg(self, plain: bool) -> ILeg | None:
        """Take an idle leg that was heard of lately. An older one is tried first, and serves when it has answered."""
        pool, now = self._pools[plain], self._clock.seconds()
        leg = pool.take(now)
        while leg is not None and leg.state is State.CLOSED:
            pool.discard(leg)  # its connection has broken, and `leg_lost` is on its way
            leg = pool.take(now)
        if leg is None or now - leg.last_received < PROBE_AFTER:
            return leg
        self._probing[plain].add(leg)
        leg.probe()
        return None

    def _open_next(self, leg: ILeg) -> None:
        visitor = None if self.over or self.draining else self._waiting[leg.plain].next()
        while visitor is not None and not visitor.allowed():
            self.visitor_denied(visitor)
            visitor = self._waiting[leg.plain].next()
        if visitor is None:
            self.leg_idle(leg)
        else:
            self._open(leg, visitor)

    def _open(self, leg: ILeg, visitor: Visitor) -> None:
        self.streams[leg] = visitor
        visitor.opened = self._clock.seconds()
        if leg.opens:
            self.usage.legs_reused += 1
        self.visitor_opened(visitor)
        visitor.local.on_gone = _nothing
        body = self.opening(visitor)
        if leg.plain:
            body = self._proved(leg, body)
        leg.open(visitor.local, body.encode(), visitor.held, visitor.begins)

    def _proved(self, leg: ILeg, body: OpenBody) -> OpenBody:
        n, key = leg.opens + 1, self.key
        kind, name = ("mapping", body.mapping) if body.mapping is not None else ("dial", body.dial or "")
        mac = open_mac(key.ks, key.sid, leg.tag, self.purpose, n, kind, name, body.conn, body.src, body.dst)
        body.n, body.mac = n, mac
        return body

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


def _nothing() -> None:
    return None
