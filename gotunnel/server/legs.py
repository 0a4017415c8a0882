"""The legs of one session at the server, and the visitors on them: who gets which leg, when more are asked for, and
which are let go. What the control connection says is in `session`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from gotunnel.core.legpool import LegPool
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import printable
from gotunnel.interfaces import ILeg, ILegOwner
from gotunnel.logs import Logger
from gotunnel.server.peer import Peer
from gotunnel.server.visitor import Visitor
from gotunnel.wire.handshake import open_mac
from gotunnel.wire.legbodies import OpenBody
from gotunnel.wire.legstate import State

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["SessionLegs"]

PROBE_AFTER = 10.0
"""Seconds without a frame after which a leg is tried before it gets a visitor (protocol, section 5)."""
UNHURRIED = 0.05
"""Seconds until the pools are looked at when nobody waits."""


@implementer(ILegOwner)
class SessionLegs:
    """One half of a session. It outlives the other while streams run."""

    log = Logger()

    def __init__(self, hub: Hub, peer: Peer, sid: bytes, ks: bytes) -> None:
        self.peer = peer
        self.sid = sid
        self.draining = False
        self.over = False
        self.streams: dict[ILeg, Visitor] = {}
        self._ks = ks
        self._hub = hub
        self._clock = hub.clock
        self._most_legs = peer.rights.max_legs  # of both pools together
        self._pools: dict[bool, LegPool[ILeg]] = {False: LegPool(), True: LegPool(start=0)}
        self._probing: dict[bool, set[ILeg]] = {False: set(), True: set()}
        self._timer: IDelayedCall | None = None
        self._legs: set[ILeg] = set()

    # For the other half.

    def need_legs(self, plain: bool, count: int) -> None:
        """Ask the client for more legs."""
        raise NotImplementedError

    def legs_gone(self) -> None:
        """The last leg is gone."""
        raise NotImplementedError

    @property
    def ks(self) -> bytes:
        """The key that legs of this session prove."""
        return self._ks

    def legs_failed(self, plain: bool, count: int) -> None:
        """The client cannot bring so many of those it was asked for."""
        self._pools[plain].failed(count, self._clock.seconds())
        self.feed()

    def reset_streams(self) -> None:
        """Cut what still streams."""
        for leg in tuple(self.streams):
            leg.reset("going_away")

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

    def room_for_leg(self, plain: bool) -> bool:
        """Whether one more leg is within the limits."""
        return not self.over and sum(pool.idle + pool.busy for pool in self._pools.values()) < self._most_legs

    @property
    def legs_expected(self) -> int:
        """Legs that this session was asked for and that are not there yet."""
        return 0 if self.over else sum(pool.requested for pool in self._pools.values())

    def leg_arrived(self, leg: ILeg) -> None:
        """A leg has proved itself."""
        self._legs.add(leg)
        self._pools[leg.plain].arrived(self._clock.seconds())
        self.leg_idle(leg)

    def serve(self, visitor: Visitor) -> bool:
        """Give a visitor a leg; False when there is none that is known to live, and then he waits."""
        if self.draining or self.over:
            return False
        leg = self._fresh_leg(visitor.plain)
        if leg is None:
            return False
        self._open(leg, visitor)
        self._feed_soon(urgent=not self._pools[visitor.plain].idle)
        return True

    def feed(self) -> None:
        """Give legs to those who wait, ask for more, close what is not needed. Called after every change."""
        if self.over or self.draining:
            return
        now = self._clock.seconds()
        for plain, pool in self._pools.items():
            waiting = self.peer.waiting[plain]
            while len(waiting) > len(self._probing[plain]):
                leg = self._fresh_leg(plain)
                if leg is None:
                    break
                self._open_next(leg)
            if plain and not self._hub.plain_legs:
                continue
            other = self._pools[not plain]
            pool.limit = max(0, self._most_legs - other.idle - other.busy - other.requested)
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

    def leg_probed(self, leg: ILeg) -> None:
        """It lives: whoever waits first gets it."""
        self._probing[leg.plain].discard(leg)
        self._open_next(leg)
        self.feed()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """A visitor's time is over."""
        visitor = self.streams.pop(leg)
        if not self.streams:
            self._hub.streaming.discard(self)
        self.peer.ended(visitor, end.outcome, end)

    def leg_idle(self, leg: ILeg) -> None:
        """The leg is free for the next visitor, or not needed any more."""
        if self.over or self.draining or not self._pools[leg.plain].put(leg, self._clock.seconds()):
            leg.close()
            return
        self._feed_soon(urgent=bool(self.peer.waiting[leg.plain]))

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """The leg is gone."""
        self._pools[leg.plain].discard(leg)
        self._probing[leg.plain].discard(leg)
        self._legs.discard(leg)
        self.log.debug("a leg of client {client} is gone: {reason}", client=self.peer.name, reason=printable(reason))
        self.feed()
        if not self._legs:
            self.legs_gone()

    # Parts of the above.

    def _fresh_leg(self, plain: bool) -> ILeg | None:
        """Take an idle leg that was heard of lately. An older one is tried first, and serves when it has answered."""
        pool = self._pools[plain]
        leg = pool.take(self._clock.seconds())
        while leg is not None and leg.state is State.CLOSED:
            pool.discard(leg)  # its connection has broken, and `leg_lost` is on its way
            leg = pool.take(self._clock.seconds())
        if leg is None or self._clock.seconds() - leg.last_received < PROBE_AFTER:
            return leg
        self._probing[plain].add(leg)
        leg.probe()
        return None

    def _open_next(self, leg: ILeg) -> None:
        visitor = None if self.over or self.draining else self.peer.waiting[leg.plain].next()
        if visitor is None:
            self.leg_idle(leg)
        else:
            self._open(leg, visitor)

    def _open(self, leg: ILeg, visitor: Visitor) -> None:
        self.streams[leg] = visitor
        self._hub.streaming.add(self)
        visitor.local.on_gone = _nothing
        n, mac = None, None
        if leg.plain:
            n = leg.opens + 1
            mac = open_mac(
                self._ks, self.sid, leg.tag, "reverse", n, "mapping", visitor.mapping, visitor.conn,
                visitor.local.address,
            )  # fmt: skip
        body = OpenBody(visitor.conn, visitor.local.address, mapping=visitor.mapping, n=n, mac=mac)
        leg.open(visitor.local, body.encode())

    def _feed_soon(self, *, urgent: bool) -> None:
        """Feed now, or within UNHURRIED seconds: with legs to spare nobody waits for it, and to weigh the pool anew at
        each coming and going would cost more than to serve a visitor."""
        if urgent:
            self.feed()
        else:
            self._wake_in(UNHURRIED)

    def _plan(self, now: float) -> None:
        times = [t for t in (pool.next_check(now) for pool in self._pools.values()) if t is not None]
        if times:
            self._wake_in(min(times))

    def _wake_in(self, seconds: float) -> None:
        """Feed again no later than that; to wake too early costs little."""
        due = self._clock.seconds() + seconds
        if self._timer is not None and self._timer.getTime() <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed()


def _nothing() -> None:
    return None
