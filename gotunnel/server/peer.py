"""What the server keeps for one client name beyond a session: its ports (see `keeping`), and its visitors.

Visitors are admitted within limits and by the access policy. They get a leg at once or wait in the lobby.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.core.outcome import Outcome
from gotunnel.core.rights import Rights
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import Sentence
from gotunnel.interfaces import ILocal
from gotunnel.net.lobby import Lobby
from gotunnel.net.visitor import Visitor, Waiting
from gotunnel.server.announced import Announced
from gotunnel.server.keeping import Keeping
from gotunnel.server.public import PublicPort, PublicVisitor
from gotunnel.server.published import Published

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["Peer"]


class Peer(Keeping):
    """One client name. Made when it first authenticates; forgotten when its last mapping is closed."""

    def __init__(self, hub: Hub, name: str) -> None:
        super().__init__(hub, name)
        self.lobby = Lobby(hub.clock, hub.config.leg_wait, self.ended)
        self.visitors = 0
        self._asked = 0  # visitors waiting for the access policy
        self.published = Published(hub, self)
        self.announced = Announced(hub, self)

    def arrived(self, mapping: PublicPort, local: ILocal) -> None:
        """Admit a visitor that has connected to a public port."""
        hub = self._hub
        visitor = PublicVisitor(
            hub.next_conn(), mapping.name, mapping.plain, local, self._clock.seconds(), mapping, self
        )
        hub.visitor_arrived(self, visitor)
        if hub.access is None:
            self.admit(visitor)
        else:
            self.take_over(visitor)

    def let_in(self, visitor: Visitor) -> None:
        """Count a new visitor of a mapping or node, and serve it or let it wait."""
        self._hub.visitor_arrived(self, visitor)
        self.take_over(visitor)

    def take_over(self, visitor: Visitor) -> None:
        """Serve a visitor that has been counted already, or let it wait.

        It may come from another member of a group. The access policy is asked anew then, because the mapping differs.
        """
        access = self._hub.access
        if access is None:
            self.admit(visitor)
            return
        limit = self._reached(self.admitted + 1, self.rights)
        if limit:  # do not ask the policy about a visitor above the limit: the question may cost a connection too
            self.visitors += 1
            self._deny(visitor, limit)
        else:
            self._asked += 1
            access.enter(self, visitor, self._kept_out)

    def entered(self, visitor: Visitor) -> None:
        """The access policy admits a visitor."""
        self._asked -= 1
        self.visitors += 1
        outcome = visitor.shut_out
        # What has changed since the policy was asked has moved or reset the visitors that waited for a leg.
        if outcome is not None:
            self.lobby.turn_away([visitor], outcome)
        elif not visitor.settles():
            self.visitors -= 1
            self.admit(visitor)

    def _kept_out(self, visitor: Visitor, outcome: Outcome) -> None:
        self._asked -= 1
        self._hub.visitor_kept_out(self, visitor, outcome)
        visitor.over(outcome, None)

    def admit(self, visitor: Visitor) -> None:
        """Serve a visitor that the policy admits, if limits allow."""
        rights, hub = self.rights, self._hub
        self.visitors += 1
        if self.visitors > rights.max_visitors or hub.everybody.here > hub.most_visitors:
            self._deny(visitor, self._reached(self.visitors, rights))
        elif self.session is None or not self.session.serve(visitor):
            if self.pending >= rights.max_pending:
                self._deny(visitor, Sentence(
                    "limits.pending, {max_pending} for this client", max_pending=rights.max_pending
                ))
                return
            self.lobby.wait(visitor)
            if self.session is not None:
                self.session.feed()

    @property
    def admitted(self) -> int:
        """The number of visitors, including those that wait for the access policy."""
        return self.visitors + self._asked

    @property
    def waiting(self) -> dict[bool, Waiting]:
        """Visitors waiting for a leg, by kind: True for plain legs, False for legs inside TLS."""
        return self.lobby.waiting

    @property
    def pending(self) -> int:
        """The number of visitors waiting for a leg."""
        return self.lobby.pending

    def leaves(self, visitor: Visitor) -> None:
        """Stop counting a visitor that moves to another member of its group; it waits here no longer, if it did.

        Call this before the move: the other member may be a mapping of the same client.
        """
        self.waiting[visitor.plain].leave(visitor)
        self.visitors -= 1

    def pass_on(self) -> None:
        """The client seems unable to provide legs: pass waiting visitors on to other members of their groups."""
        for waiting in self.waiting.values():
            for visitor in waiting.those_of(None):
                if visitor in waiting:  # moving another one may have moved it, too
                    visitor.elsewhere(Outcome.NO_LEG, None)

    def ended(self, visitor: Visitor, outcome: Outcome, end: StreamEnd | None = None) -> None:
        """Record that a visitor has finished; `end` is None if it was not served."""
        self.visitors -= 1
        self._hub.visitor_ended(self, visitor, outcome, end)
        if visitor.special:
            visitor.over(outcome, end)

    def _reached(self, visitors: int, rights: Rights) -> str:
        """Return the limit that so many visitors of this client exceed, or an empty text."""
        hub = self._hub
        if hub.everybody.here > hub.most_visitors:
            return Sentence("server.limits.streams, {most_visitors} in all", most_visitors=hub.most_visitors)
        return Sentence(
            "limits.visitors, {max_visitors} for this client", max_visitors=rights.max_visitors
        ) if visitors > rights.max_visitors else ""

    def _deny(self, visitor: Visitor, limit: str) -> None:
        visitor.local.abort()
        self.visitors -= 1
        self._hub.visitor_denied(self, visitor, limit)
        visitor.over(Outcome.DENIED, None)

    def turn_away(self, visitors: list[Visitor], outcome: Outcome) -> None:
        """Reset visitors that have no leg."""
        self.lobby.turn_away(visitors, outcome)

    def turn_away_from(self, mapping: str, outcome: Outcome) -> None:
        """Reset the visitors that wait for this mapping."""
        self.lobby.turn_away_all(outcome, mapping)

    def _forget(self) -> None:
        self._hub.forget(self)
