"""The forward legs of one client session: made when this client's own visitors need them, and opened to what its
configuration names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from gotunnel.client.bringing import Bringing
from gotunnel.client.forwards import Forwards
from gotunnel.client.forwardvisitors import ForwardVisitor
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.interfaces import ILeg
from gotunnel.net.greeting import SessionKey
from gotunnel.net.opening import OpeningEnd
from gotunnel.net.visitor import Visitor
from gotunnel.wire.fields import Purpose
from gotunnel.wire.legstate import End

__all__ = ["ForwardLegs"]


class ForwardLegs(OpeningEnd):
    """Owned by a session; outlives it while streams run."""

    purpose: ClassVar[Purpose] = "forward"
    end = End.OPENER

    def __init__(
        self,
        clock: Any,
        bringing: Bringing,
        key: SessionKey,
        forwards: Forwards,
        limit: int,
        ready: int,
        changed: Callable[[], None],
        usage: Usage,
        *,
        server: str,
        plain_legs: bool,
    ) -> None:
        waiting = forwards.openers.queue_of(self)
        super().__init__(clock, key, waiting, limit, ready, usage, plain_legs=plain_legs)
        self.server = server
        self.plain_legs = plain_legs
        self._bringing = bringing
        self._forwards = forwards
        self._changed = changed

    @property
    def load(self) -> int:
        """How many visitors it serves."""
        return len(self.streams)

    # OpeningEnd.

    def need_legs(self, plain: bool, count: int) -> None:
        """See OpeningEnd."""
        self._bringing.bring(self, plain, count)

    def leg_failed(self, plain: bool, count: int, reason: str) -> None:
        """See Receiver."""
        self.legs_failed(plain, count)

    def leg_lost(self, leg: ILeg, reason: str) -> None:
        """See ILegOwner."""
        self._bringing.lost()
        super().leg_lost(leg, reason)

    def legs_gone(self) -> None:
        """See OpeningEnd."""
        self._changed()

    def visitor_opened(self, visitor: Visitor) -> None:
        """See OpeningEnd."""
        assert isinstance(visitor, ForwardVisitor)
        self._forwards.openers.opened(visitor, self)
        self._changed()

    def leg_ended(self, leg: ILeg, end: StreamEnd) -> None:
        """See OpeningEnd."""
        visitor = self.streams.pop(leg)
        if not visitor.elsewhere(end.outcome, end):
            self._forwards.ended(visitor, end.outcome, end)
        self._changed()
