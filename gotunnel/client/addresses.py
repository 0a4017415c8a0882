"""Looks up the addresses of a server's name repeatedly. What to do with them is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gotunnel.address import HostPort
from gotunnel.errors import DialFailed, printable
from gotunnel.logs import Logger
from gotunnel.net.resolve import resolve

__all__ = ["LOOK_AGAIN", "MOST_ADDRESSES", "NameWatch"]

LOOK_AGAIN = 30.0
"""Seconds between two lookups; the records of such names usually live for 30 to 60."""
FIRST_AGAIN = 2.0
"""Seconds between two lookups until the first one succeeds."""
PATIENCE = 10.0
"""Seconds that a lookup may take."""
MOST_ADDRESSES = 16
"""Most addresses of one name that are used: a name server must not make us connect to any number of hosts."""


class NameWatch:
    """Looks up one name from `start` to `stop`. `found(ips)` is called after each successful lookup, with at least one
    address. A failed lookup changes nothing."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        server: HostPort,
        found: Callable[[list[str]], None],
        look: Callable[[Any, str, int, float], Deferred[list[str]]] = resolve,
    ) -> None:
        self._clock = clock
        self._server = server
        self._found = found
        self._look = look
        self._known = False
        self.problem = ""
        """Why the name does not resolve, if the last lookup failed."""
        self._many = False
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Look the name up now, and again repeatedly."""
        self._timer = None
        self._looking = looking = Deferred.fromCoroutine(self._once())
        looking.addErrback(self._broken)
        looking.addCallback(self._again)

    def stop(self) -> None:
        """Stop looking it up. May be called again."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._looking is not None:
            self._looking.cancel()

    async def _once(self) -> None:
        try:
            ips = list(dict.fromkeys(await self._look(self._clock, self._server.host, self._server.port, PATIENCE)))
        except DialFailed as failed:
            said = printable(failed)
            if said != self.problem and not self._stopped:
                self.problem = said
                self.log.warn(
                    "{reason}; {hint}: it is looked up again every few seconds", reason=said,
                    hint="the addresses known of it stay" if self._known else "correct client.servers, or its DNS",
                )  # fmt: skip
            return
        if self._stopped:
            return
        if len(ips) > MOST_ADDRESSES and not self._many:
            self._many = True
            self.log.warn(
                "{server} has {count} addresses; only the first {most} are used",
                server=str(self._server), count=len(ips), most=MOST_ADDRESSES,
            )  # fmt: skip
        self._known, self.problem = True, ""
        self._found(ips[:MOST_ADDRESSES])

    def _broken(self, failure: Failure) -> None:
        if not self._stopped:
            self.log.failure("looking up the server {server}", failure, server=str(self._server))

    def _again(self, _: object) -> None:
        self._looking = None
        if not self._stopped:
            self._timer = self._clock.callLater(LOOK_AGAIN if self._known else FIRST_AGAIN, self.start)
