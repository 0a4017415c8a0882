"""Listens, and goes on trying where that fails: what is in the way may go by itself. Whoever uses it says what to
listen on, and what to say when it cannot be had."""

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
    """One place to listen on, from `start` to `stop`. `listen()` returns what listens, or raises PortUnavailable;
    `failed(reason)` is called once for each reason."""

    def __init__(self, clock: Any, listen: Callable[[], Any], failed: Callable[[str], None]) -> None:
        self._clock = clock
        self._listen = listen
        self._failed = failed
        self._again: IDelayedCall | None = None
        self.listening: Any = None
        """What listens, None while nothing does."""
        self.failure = ""
        """Why nothing does, as far as it was tried."""

    @property
    def trouble(self) -> str | None:
        """Why nothing listens; None while something does."""
        return None if self.listening is not None else self.failure or "it does not listen"

    def start(self) -> None:
        """Listen, unless it does already: called again it tries at once."""
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
        """Listen no more."""
        self._rest()
        listening, self.listening = self.listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)

    def _rest(self) -> None:
        again, self._again = self._again, None
        if again is not None and again.active():
            again.cancel()
