"""Listens, and keeps retrying if that fails, since the obstacle may disappear. The caller decides what to listen on and
how to report a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.errors import PortUnavailable
from gotunnel.net.listening import CannotListen

__all__ = ["LISTEN_AGAIN", "Persistent"]

LISTEN_AGAIN = 5.0
"""Seconds between two attempts."""


class Persistent:
    """Keeps one listener open from `start` to `stop`. `listen()` returns the listener or raises PortUnavailable;
    `failed(reason)` is called when the reason of a failure changes."""

    def __init__(self, clock: Any, listen: Callable[[], Any], failed: Callable[[str], None]) -> None:
        self._clock = clock
        self._listen = listen
        self._failed = failed
        self._again: IDelayedCall | None = None
        self.listening: Any = None
        """The listener; None while there is none."""
        self.failure = ""
        """Why there is none, after a failed attempt."""

    @property
    def trouble(self) -> str | None:
        """Why nothing listens; None while something does."""
        return None if self.listening is not None else self.failure or "it does not listen"

    def start(self) -> None:
        """Listen, unless it does already. Called again, it retries at once."""
        self._rest()
        if self.listening is not None:
            return
        try:
            self.listening = self._listen()
        except PortUnavailable as failed:
            self._again = self._clock.callLater(LISTEN_AGAIN, self.start)
            reason = failed.here if isinstance(failed, CannotListen) else failed.reason
            if reason != self.failure:
                self.failure = reason
                self._failed(reason)
        else:
            self.failure = ""

    async def stop(self) -> None:
        """Stop listening."""
        self._rest()
        listening, self.listening = self.listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)

    def _rest(self) -> None:
        again, self._again = self._again, None
        if again is not None and again.active():
            again.cancel()
