"""The part of a peer that outlives sessions: public ports, and the time of grace after a session is lost.

Which session is current is decided elsewhere. The ports are in `published`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.core.identities import Identities
from gotunnel.core.outcome import Outcome
from gotunnel.core.rights import NO_RIGHTS, Rights
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.lobby import Lobby
from gotunnel.net.visitor import Visitor
from gotunnel.server.announced import Announced
from gotunnel.server.public import PublicPort
from gotunnel.server.published import Published
from gotunnel.wire.messages import Error

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["GRACE", "Keeping", "PeerSession"]

GRACE = 30.0
"""Seconds that listeners outlive a lost session (protocol, section 4)."""


class PeerSession(Protocol):
    """The interface of a session as its peer uses it."""

    most_legs: int
    draining: bool
    """Whether it provides no more legs."""

    def serve(self, visitor: Visitor) -> bool:
        """Give a visitor a leg at once; return False if it must wait."""

    def feed(self) -> None:
        """Provide legs for waiting visitors; called whenever one starts to wait."""

    def tell_shut(self, mapping: str, reason: str | None) -> None:
        """Inform the client that a mapping admits no new visitors, and why; None means that it admits them again."""

    def close(self, error: Error | None, reason: str) -> None:
        """End the session, with `error` as the last message."""


class Keeping:
    """A base class of a peer, see the module."""

    log = Logger()
    lobby: Lobby
    published: Published
    announced: Announced

    def __init__(self, hub: Hub, name: str) -> None:
        self.name = name
        self.session: PeerSession | None = None
        self._hub = hub
        self._clock = hub.clock
        self._grace: IDelayedCall | None = None
        self._lasting = NO_RIGHTS
        self._lasts_in: Identities | None = None

    @property
    def rights(self) -> Rights:
        """The client's current rights; read this anew for each decision.

        It is read for each visitor, so the value is cached if it cannot change with time.
        """
        hub = self._hub
        if self._lasts_in is hub.identities and not hub.guests.by_name:
            return self._lasting
        rights = hub.rights_of(self.name)
        if not hub.guests.by_name and hub.identities.lasts(self.name):
            self._lasting, self._lasts_in = rights, hub.identities
        return rights

    @property
    def relay(self) -> IRelay:
        """The relay that accepts its visitors."""
        return self._hub.relay

    @property
    def mappings(self) -> dict[str, PublicPort]:
        """Its public ports by mapping name."""
        return self.published.mappings

    # Sessions.

    def begin(self, session: PeerSession) -> None:
        """Make a session the current one; it takes over waiting visitors."""
        self._cancel_grace()
        self.session = session
        self.published.begin()
        session.feed()
        for mapping in tuple(self.mappings.values()):
            mapping.began()

    def lost(self, session: PeerSession) -> None:
        """A session has ended. Ignored if it was already replaced."""
        if self.session is session:
            self.session = None
            self.published.refused.clear()
            self._grace = self._clock.callLater(GRACE, self._grace_over)
            self.settle()
            if not self.mappings and not self.announced.nodes:
                self._grace_over()

    def settle(self) -> None:
        """The session has ended or provides no more legs: other group members may serve the waiting visitors."""
        for mapping in tuple(self.mappings.values()):
            mapping.settle()

    @property
    def grace_left(self) -> float | None:
        """The remaining seconds of the time of grace, or None if it is not running."""
        return None if self._grace is None else float(self._grace.getTime() - self._clock.seconds())

    async def stop(self) -> None:
        """Close all public ports for good.

        Streams continue, and waiting visitors still get a leg if the client is connected to provide it.
        """
        self._cancel_grace()
        await self.published.stop()
        if not self.awaited:
            self.turn_all_away()

    @property
    def awaited(self) -> bool:
        """Whether visitors wait for a leg that this client can still provide."""
        return bool(self.lobby.pending) and self.session is not None and not self.session.draining

    def turn_all_away(self) -> None:
        """Reset all waiting visitors and withdraw the announced nodes."""
        self.announced.withdraw()  # only now: visitors waiting for a node are served as long as it is announced
        self._turn_away_all(Outcome.STOPPED)

    def tell_shut(self, mapping: str, reason: str | None) -> None:
        """Inform the client that a mapping admits no new visitors, and why; None means that it admits them again."""
        if self.session is not None:
            self.session.tell_shut(mapping, reason)

    # Rights.

    def rights_changed(self) -> None:
        """Apply changed rights: close what they no longer allow, or everything if the client is no longer admitted."""
        rights = self.rights
        if self.session is not None:
            self.session.most_legs = rights.max_legs
        if self._hub.knows(self.name):
            closing = self._close_denied()
        else:
            self._cancel_grace()
            closing = self._wind_up()
        Deferred.fromCoroutine(closing).addErrback(
            lambda failure: self.log.failure("closing ports of client {client} failed", failure, client=self.name)
        )

    async def _close_denied(self) -> None:
        denied = await self.published.close_denied()
        for legs in tuple(self._hub.streaming):
            if legs.peer is self:
                legs.reset_denied()
        if denied and self.session is not None:
            # The client registers its mappings when it reconnects, and so learns which one is refused, and why.
            self.session.close(Error("going_away", "the rights of this client have changed"), "its rights have changed")

    # The end.

    def _grace_over(self) -> None:
        self._cancel_grace()
        if self.mappings:
            self.log.info(
                "client {client} did not come back within {seconds} s: its ports are closed",
                client=self.name, seconds=GRACE,
            )  # fmt: skip
        Deferred.fromCoroutine(self._wind_up()).addErrback(
            lambda failure: self.log.failure("closing the ports of client {client} failed", failure, client=self.name)
        )

    async def _wind_up(self) -> None:
        await self.published.close_orphans()
        if self.session is None and not self.mappings:
            self._turn_away_all(Outcome.NO_LEG)
            self._forget()

    def _forget(self) -> None:
        raise NotImplementedError

    def _turn_away_all(self, outcome: Outcome) -> None:
        self.lobby.turn_away_all(outcome)
        self.published.cancel()

    def _cancel_grace(self) -> None:
        grace, self._grace = self._grace, None
        if grace is not None and grace.active():
            grace.cancel()
