"""How a link ends: drained with its client, or retired with its address or its server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.client.leaving import IN_FLIGHT, Leaving
from gotunnel.client.session import ClientSession
from gotunnel.logs import Logger
from gotunnel.net.patience import Draining, Patience
from gotunnel.net.quiet import nothing

__all__ = ["LAST_WORDS", "EndingLink"]

LAST_WORDS = 3.0
"""Seconds for resets to reach the server after visitors were cut off."""


class EndingLink:
    """A base of Link, which sets all of the attributes below."""

    log = Logger()
    retired: Callable[[], None]
    """Called when the link was retired and nothing of it is left."""
    noticed: Callable[[], None]
    """Called when a session begins or ends, an attempt fails, or a visitor or leg ends."""
    session: ClientSession | None
    wanted = True
    """Whether to connect again after a loss."""
    _clock: Any
    _draining: Draining
    _leaving: Leaving
    _patience: Patience
    _running: Deferred[None] | None
    _sessions: set[ClientSession]

    @property
    def draining(self) -> bool:
        """Whether it is drained and will not connect again."""
        return self._draining.begun

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(session.streams for session in self._sessions)

    @property
    def broken(self) -> bool:
        """Whether the link has ended without a request: a bug."""
        return self._running is not None and self._running.called and not self._over

    @property
    def _over(self) -> bool:
        return self._draining.begun or not self.wanted

    def retire(self) -> None:
        """Stop connecting to this address, because the name no longer stands for it. A current session goes on: it
        works, and a name server's answer does not prove otherwise."""
        self.wanted = False
        if self.session is None and self._running is not None:
            self._running.cancel()

    def drain(self, seconds: float) -> Deferred[int]:
        """Ask the server to open nothing more, let visitors finish for up to `seconds`, reset the rest, and disconnect
        for good.

        Fires with the number of visitors reset, when every connection has closed, at most LAST_WORDS seconds after the
        reset. Connections whose other end does not even answer a close are aborted a little later. Called again, it can
        only shorten the time.
        """
        return self._draining.begin(seconds)

    async def _drain(self, seconds: float) -> int:
        self._leaving.stop()
        session = self.session
        if session is not None:
            session.drain(seconds)
        elif self._running is not None:
            self._running.cancel()  # it is connecting or waiting
        if self.streams:
            self.log.info(
                "{count} visitors are being served; they have {seconds:g} s to finish",
                count=self.streams, seconds=seconds,
            )  # fmt: skip
        await self._patience.until(lambda: session is None or session.drained, IN_FLIGHT)
        await self._patience.until(lambda: all(session.finished for session in self._sessions))
        cut = self.streams
        if cut:
            self.log.warn("{count} visitors were disconnected: their time was over", count=cut)
        for session in tuple(self._sessions):
            session.reset_streams()
        if self.session is not None:
            self.session.close("stopping")
        if self._running is not None:
            await self._running
        await Patience(self._clock).until(lambda: not self._sessions, LAST_WORDS)
        for session in tuple(self._sessions):
            session.drop_legs()
        return cut

    def _changed(self) -> None:
        """Handle the end of a stream, leg or session."""
        for session in self._sessions:
            if not session.connected:
                self._sessions = {session for session in self._sessions if not session.gone}
                break
        if self._patience.waits:
            self._patience.look()
        if self.noticed is not nothing:
            self.noticed()
        if not self.wanted:
            self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        if not self.wanted and not self._sessions and self._running is not None and self._running.called:
            retired, self.retired = self.retired, nothing  # both the link and its last session report their end
            retired()
