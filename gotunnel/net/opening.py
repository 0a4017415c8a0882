"""The opening end of one session's legs: gives visitors to legs, and reports what happens to them. The server opens on
reverse legs, a client on forward legs. `supply` decides how many legs there are; the subclass decides how legs are made
and where visitors wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from zope.interface import implementer

from gotunnel.core.stream import GOING_AWAY, KICKED, StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import printable, said_behind
from gotunnel.interfaces import ILeg, ILegOwner
from gotunnel.logs import Logger
from gotunnel.net.greeting import SessionKey
from gotunnel.net.legacts import BREACH, BREACH_WORDS
from gotunnel.net.leghashes import LegHashes
from gotunnel.net.quiet import nothing
from gotunnel.net.supply import LegSupply
from gotunnel.net.visitor import Queue, Visitor
from gotunnel.net.warnings import Warnings
from gotunnel.wire.fields import Purpose

__all__ = ["OpeningEnd"]


@implementer(ILegOwner)
class OpeningEnd(LegSupply):
    """The opener's half of a session. It outlives the control connection while streams run; waiting visitors outlive
    it. `usage` collects the statistics; the other arguments are those of LegSupply."""

    log = Logger()
    purpose: ClassVar[Purpose]

    def __init__(
        self, clock: Any, key: SessionKey, waiting: Mapping[bool, Queue], most_legs: int, ready: int, usage: Usage, *,
        plain_legs: bool,
    ) -> None:  # fmt: skip
        super().__init__(clock, waiting, most_legs, ready, plain_legs=plain_legs)
        self.key = key
        self.usage = usage
        self.streams: dict[ILeg, Visitor] = {}
        self._hashes = LegHashes(key, self.purpose)
        self._warn = Warnings(self.log, clock).warn

    # For the subclass to implement.

    def legs_gone(self) -> None:
        """Called when the last leg has closed."""
        raise NotImplementedError

    def busy(self) -> None:
        """Called when a visitor gets a leg while no other has one."""

    def visitor_opened(self, visitor: Visitor) -> None:
        """Called when a special visitor (see `Visitor.special`) gets a leg."""

    def visitor_denied(self, visitor: Visitor) -> None:
        """Turn away a visitor that has no leg and may not be served."""
        raise NotImplementedError

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """See ILegOwner: a stream on this leg is over; remove its visitor from `streams`."""
        raise NotImplementedError

    def leg_mute(self) -> None:
        """Called when a probed leg closed without an answer: the other end may have disconnected."""

    # Called by the rest of the session.

    def reset_streams(self) -> None:
        """Reset all streams that still run."""
        for leg in tuple(self.streams):
            leg.reset(GOING_AWAY)

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id. Returns False if no leg serves it."""
        for leg, visitor in self.streams.items():
            if visitor.conn == conn:
                leg.reset(KICKED)
                return True
        return False

    def reset_denied(self) -> None:
        """Reset the streams of visitors that are no longer allowed."""
        for leg in [leg for leg, visitor in self.streams.items() if not visitor.allowed()]:
            leg.reset("acl_denied")

    def drop_legs(self) -> None:
        """Close all legs that are left, idle or not."""
        for leg in tuple(self._legs):
            leg.close()

    # Legs and visitors.

    def leg_arrived(self, leg: ILeg) -> None:
        """Take over a leg that has proved itself."""
        self.usage.legs_created += 1
        self._joined(leg)
        self.leg_idle(leg)

    def serve(self, visitor: Visitor) -> bool:
        """Give a visitor a leg. Returns False, and the visitor waits, if no leg is known to be alive. A visitor that
        is not allowed is turned away."""
        if self.draining or self.over:
            return False
        if not visitor.allowed():
            self.visitor_denied(visitor)
            return True
        now, plain = self._clock.seconds(), visitor.plain
        leg = self._fresh_leg(plain, now)
        if leg is None:
            return False
        self._open(leg, visitor, now)
        if not self._pools[plain].free:
            self.feed()
        elif not self._soon:
            self._feed_soon()
        return True

    # ILegOwner.

    def leg_open(self, leg: ILeg, body: bytes) -> None:
        """Never called at an opener: its state table treats an OPEN as a breach."""

    def leg_abandoned(self, leg: ILeg) -> None:
        """Never called at an opener."""

    def leg_answered(self, leg: ILeg) -> None:
        """The target has answered: measure how long it took."""
        visitor = self.streams.get(leg)
        if visitor is not None:
            if visitor.opened is not None:
                self.usage.answer.observe(self._clock.seconds() - visitor.opened)
            if visitor.special:
                visitor.answered()

    def leg_first_byte(self, leg: ILeg) -> None:
        """The target has sent its first byte: measure how long it took."""
        visitor = self.streams.get(leg)
        if visitor is not None:
            self.usage.first_byte.observe(self._clock.seconds() - visitor.arrived)

    def leg_probed(self, leg: ILeg) -> None:
        """The leg is alive: give it to the visitor that has waited longest."""
        self._probing[leg.plain].discard(leg)
        self._open_next(leg)
        self.feed()

    def leg_idle(self, leg: ILeg) -> None:
        """The leg is free: keep it for the next visitor, or close it if it is not needed."""
        if self.over or self.draining or not self._pools[leg.plain].put(leg, self._clock.seconds()):
            leg.close()
            return
        if self._waiting[leg.plain]:
            self.feed()
        elif not self._soon:
            self._feed_soon()

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """The leg has closed."""
        self._hashes.pop(leg, None)
        mute = self._left(leg)
        if reason.startswith(BREACH):
            self._warn("breach", BREACH_WORDS, reason=printable(said_behind(BREACH, reason)))
        self.log.debug("a {purpose} leg is gone: {reason}", purpose=self.purpose, reason=printable(reason))
        self.feed()
        if mute and not self.over and not self.draining:  # otherwise this end may have closed it
            self.leg_mute()
        if not self._legs:
            self.legs_gone()

    # Parts of the above.

    def _open_next(self, leg: ILeg) -> None:
        visitor = None if self.over or self.draining else self._waiting[leg.plain].next()
        while visitor is not None and not visitor.allowed():
            self.visitor_denied(visitor)
            visitor = self._waiting[leg.plain].next()
        if visitor is None:
            self.leg_idle(leg)
        else:
            self._open(leg, visitor, self._clock.seconds())

    def _open(self, leg: ILeg, visitor: Visitor, now: float) -> None:
        self.streams[leg] = visitor
        visitor.opened = now
        opens = leg.opens
        if opens:
            self.usage.legs_reused += 1
        if len(self.streams) == 1:
            self.busy()
        if visitor.special:
            self.visitor_opened(visitor)
        local = visitor.local
        local.on_gone = nothing
        hashes = self._hashes[leg] if leg.plain else None
        leg.open(local, visitor.opening(hashes, opens + 1), visitor.held, visitor.begins)
