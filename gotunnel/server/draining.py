"""Drains a server: admits no new visitors, serves those that wait, lets streams finish, and resets the rest.

What follows, such as the end of the process, is up to the caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, gatherResults

from gotunnel.core.outcome import Outcome
from gotunnel.logs import Logger
from gotunnel.net.patience import Draining, Patience
from gotunnel.server.hub import Hub

__all__ = ["ServerDraining"]

LAST_WORDS = 3.0
"""Seconds after resetting visitors for resets and errors to reach the clients."""


class ServerDraining(Draining):
    """The draining of one server. `close_egress` closes the egress socket, `close_door` the control port.

    It is complete when all connections have closed, at most LAST_WORDS seconds after visitors are reset. The only
    exceptions are connections whose peer does not even answer a close: they are aborted a little later.
    """

    log = Logger()

    def __init__(
        self, hub: Hub, close_egress: Callable[[], Awaitable[None]], close_door: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(hub.patience, self._drain)
        self._hub = hub
        self._close_egress = close_egress
        self._close_door = close_door

    async def _drain(self, seconds: float) -> int:
        hub, v1 = self._hub, self._hub.v1
        hub.stopping = True
        # First, because afterwards the server leads to no client: requests for a node would be refused for good,
        # whereas a missing socket is tried again.
        await self._close_egress()
        for session in hub.connected:
            session.ask_to_drain(seconds)
        # All at once: one may have to wait for the access policy.
        await gatherResults([Deferred.fromCoroutine(peer.stop()) for peer in hub.holders], consumeErrors=True)
        if hub.live:
            self.log.info(
                "{count} visitors are being served; they have {seconds:g} s to finish", count=hub.live, seconds=seconds
            )
        # Close the control port only after waiting visitors are served: their clients may have to bring a leg.
        await hub.patience.until(lambda: not any(peer.awaited for peer in hub.holders))
        await self._close_door()
        for session in hub.connected:
            session.leave(seconds)
        for peer in hub.holders:
            peer.turn_all_away()
        hub.entering.turn_away()
        await hub.patience.until(lambda: not hub.live and not hub.relay.locals and (v1 is None or not v1.relay.locals))
        cut = hub.live
        for legs in tuple(hub.streaming):
            legs.reset_streams()
        if v1 is not None:
            v1.go_away("the server stops", Outcome.DRAINED)
        if cut:
            self.log.warn("{count} visitors were disconnected: their time was over", count=cut)
        for session in hub.connected:
            session.go_away()
        await Patience(hub.clock).until(lambda: not hub.left and (v1 is None or not v1.left), LAST_WORDS)
        for session in hub.left:
            session.drop_legs()
        return cut
