"""The opening end of one session's legs: which visitor gets which leg, and what is told of him. The server opens on
reverse legs, a client on forward legs. How many legs there are is for `supply`; how a leg comes to be, and where the
visitors wait, for the subclass."""

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
    """Half of a session. It outlives the control connection while streams run, and who waits outlives it. `usage` adds
    up what becomes of all this; the other arguments are those of a LegSupply."""

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

    # For the subclass to say.

    def legs_gone(self) -> None:
        """The last leg is gone."""
        raise NotImplementedError

    def busy(self) -> None:
        """A visitor has a leg, and no other one has."""

    def visitor_opened(self, visitor: Visitor) -> None:
        """A special visitor has a leg."""

    def visitor_denied(self, visitor: Visitor) -> None:
        """A visitor without a leg may not be served: turn him away."""
        raise NotImplementedError

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """See ILegOwner: a visitor's time on this leg is over, and he is to leave `streams`."""
        raise NotImplementedError

    def leg_mute(self) -> None:
        """A leg that was tried is gone without an answer: the other end may not be there any more."""

    # For the rest of the session.

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

    # Legs and visitors.

    def leg_arrived(self, leg: ILeg) -> None:
        """A leg has proved itself."""
        self.usage.legs_created += 1
        self._joined(leg)
        self.leg_idle(leg)

    def serve(self, visitor: Visitor) -> bool:
        """Give a visitor a leg; False when there is none that is known to live, and then he waits. One who may not be
        served is turned away."""
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
        """Never happens at an opener: its machine takes an OPEN for a breach."""

    def leg_abandoned(self, leg: ILeg) -> None:
        """Never happens at an opener."""

    def leg_answered(self, leg: ILeg) -> None:
        """The target answered."""
        visitor = self.streams.get(leg)
        if visitor is not None:
            if visitor.opened is not None:
                self.usage.answer.observe(self._clock.seconds() - visitor.opened)
            if visitor.special:
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
        self._hashes.pop(leg, None)
        mute = self._left(leg)
        if reason.startswith(BREACH):
            self._warn("breach", BREACH_WORDS, reason=printable(said_behind(BREACH, reason)))
        self.log.debug("a {purpose} leg is gone: {reason}", purpose=self.purpose, reason=printable(reason))
        self.feed()
        if mute and not self.over and not self.draining:  # else it may be this end that has closed it
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
