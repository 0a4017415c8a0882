"""The reverse legs of one session at the server, and the visitors on them. The control connection is in `session`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.interfaces import ILeg
from gotunnel.net.greeting import SessionKey
from gotunnel.net.opening import OpeningEnd
from gotunnel.net.visitor import Visitor
from gotunnel.server.forward import ForwardLegs
from gotunnel.server.peer import Peer
from gotunnel.wire.fields import Purpose

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["SessionLegs"]


class SessionLegs(OpeningEnd):
    """The legs of a session. They outlive its control connection while streams run."""

    purpose: ClassVar[Purpose] = "reverse"

    def __init__(self, hub: Hub, peer: Peer, sid: bytes, ks: bytes, address: str) -> None:
        super().__init__(
            hub.clock, SessionKey(sid, ks), peer.waiting, peer.rights.max_legs, hub.config.idle_legs, hub.usage,
            plain_legs=hub.plain_legs,
        )  # fmt: skip
        self.peer = peer
        self.address = address
        """The address that the client connected from, as we see it."""
        self.forward = ForwardLegs(hub, peer, self.key, self._forward_changed, address)
        self._hub = hub

    @property
    def sid(self) -> bytes:
        """The session id."""
        return self.key.sid

    @property
    def ks(self) -> bytes:
        """The key that legs of this session prove."""
        return self.key.ks

    @property
    def room_for_leg(self) -> bool:
        """Whether another leg is within the limits."""
        return not self.over and self.legs_held + len(self.forward.legs) < self.most_legs

    @property
    def without_legs(self) -> bool:
        """Whether no leg is left, of either purpose."""
        return not self.legs_held and not self.forward.legs

    def reset_streams(self) -> None:
        """See OpeningEnd; includes streams on forward legs."""
        super().reset_streams()
        self.forward.reset_streams()

    def drop_legs(self) -> None:
        """See OpeningEnd; includes forward legs."""
        super().drop_legs()
        self.forward.drop_legs()

    def end_legs(self) -> None:
        """See OpeningEnd; includes forward legs."""
        super().end_legs()
        self.forward.end_legs()

    def _forward_changed(self) -> None:
        if self.without_legs:
            self.legs_gone()

    # OpeningEnd.

    def sparing(self) -> bool:
        """See OpeningEnd."""
        return self._hub.sparing()

    def busy(self) -> None:
        """See OpeningEnd."""
        self._hub.streaming.add(self)

    def visitor_denied(self, visitor: Visitor) -> None:
        """See OpeningEnd."""
        self.peer.turn_away([visitor], Outcome.DENIED)

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """See OpeningEnd."""
        visitor = self.streams.pop(leg)
        if not self.streams:
            self._hub.streaming.discard(self)
        if not (visitor.special and visitor.elsewhere(end.outcome, end)):
            self.peer.ended(visitor, end.outcome, end)

    def leg_mute(self) -> None:
        """See OpeningEnd."""
        self.peer.pass_on()
