"""How a server lets go of its visitors and clients: nobody new is let in, who waits is served, who streams may finish,
the rest is cut. What comes after it, the end of the process or an operator, is not its business."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gotunnel.logs import Logger
from gotunnel.net.patience import Draining, Patience
from gotunnel.server.hub import Hub

__all__ = ["ServerDraining"]

LAST_WORDS = 3.0
"""Seconds, once visitors are cut, for resets and errors to reach the clients."""


class ServerDraining(Draining):
    """One per server. `close_egress` closes the egress socket, `close_door` the control port.

    It is over when every connection is gone, LAST_WORDS seconds after the cut at the latest, those excepted whose other
    end does not answer even a close: they are aborted a little later.
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
        # Ahead of all else: behind that the server leads to no client. Who asked for its node would be refused for
        # good; a socket that is not there is tried again.
        await self._close_egress()
        for session in hub.connected:
            session.ask_to_drain(seconds)
        for peer in hub.holders:
            await peer.stop()
        if hub.live:
            self.log.info(
                "{count} visitors are being served; they have {seconds:g} s to finish", count=hub.live, seconds=seconds
            )
        # The control port is closed behind those who wait: their clients may have to bring a leg.
        await hub.patience.until(lambda: not any(peer.awaited for peer in hub.holders))
        await self._close_door()
        for session in hub.connected:
            session.leave(seconds)
        for peer in hub.holders:
            peer.turn_all_away()
        if hub.access is not None:
            hub.access.turn_away()
        await hub.patience.until(lambda: not hub.live and not hub.relay.locals and (v1 is None or not v1.relay.locals))
        cut = hub.live
        for legs in tuple(hub.streaming):
            legs.reset_streams()
        if v1 is not None:
            v1.go_away("the server stops")
        if cut:
            self.log.warn("{count} visitors were disconnected: their time was over", count=cut)
        for session in hub.connected:
            session.go_away()
        await Patience(hub.clock).until(lambda: not hub.left and (v1 is None or not v1.left), LAST_WORDS)
        for session in hub.left:
            session.drop_legs()
        return cut
