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
    """One per server. `close_door` closes the control port.

    It is over when every connection is gone, LAST_WORDS seconds after the cut at the latest, those excepted whose other
    end does not answer even a close: they are aborted a little later.
    """

    log = Logger()

    def __init__(self, hub: Hub, close_door: Callable[[], Awaitable[None]]) -> None:
        super().__init__(hub.patience, self._drain)
        self._hub = hub
        self._close_door = close_door

    async def _drain(self, seconds: float) -> int:
        hub = self._hub
        for session in hub.connected:
            session.ask_to_drain(seconds)
        for peer in tuple(hub.peers.values()):
            await peer.stop()
        if hub.live:
            self.log.info(
                "{count} visitors are being served; they have {seconds:g} s to finish", count=hub.live, seconds=seconds
            )
        # The control port is closed behind those who wait: their clients may have to bring a leg.
        await hub.patience.until(lambda: not any(peer.awaited for peer in hub.peers.values()))
        await self._close_door()
        for session in hub.connected:
            session.leave(seconds)
        for peer in tuple(hub.peers.values()):
            peer.turn_all_away()
        await hub.patience.until(lambda: not hub.live and not hub.relay.locals)
        cut = hub.live
        for legs in tuple(hub.streaming):
            legs.reset_streams()
        if cut:
            self.log.warn("{count} visitors were cut: their time was over", count=cut)
        for session in hub.connected:
            session.go_away()
        await Patience(hub.clock).until(lambda: not hub.left, LAST_WORDS)
        for session in hub.left:
            session.drop_legs()
        return cut
