"""A visitor of our own that sends nothing, and sees whether it may stay."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.address import Address
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.target import dial_failed, target_endpoint

__all__ = ["SECONDS", "Visit", "is_reset"]

SECONDS = 1.0
"""Seconds for the other end to close or reset the connection. Most that do so take only a moment."""


async def is_reset(reactor: Any, address: Address, timeout: float) -> bool:
    """Connect, and return whether the connection is reset; that may happen before it is complete at this end. Raises
    DialFailed."""
    visit = Visit(reactor, SECONDS)

    def not_connected(failure: Failure) -> Any:
        cause = failure.value
        early = isinstance(cause, ConnectError) and cause.osError == errno.ECONNRESET
        return None if early else dial_failed(failure, address)

    connecting: Deferred[Any] = target_endpoint(reactor, address, timeout).connect(OneProtocol(lambda: visit))
    if await connecting.addErrback(not_connected) is None:
        return True
    ended = await visit.closed
    return ended is not None and not isinstance(ended, ConnectionDone)


class Visit(Protocol):
    """Fires `closed` with the reason when the connection closes, or with None when it has lasted for `seconds`."""

    transport: Any

    def __init__(self, reactor: Any, seconds: float) -> None:
        self.closed: Deferred[BaseException | None] = Deferred()
        self._reactor = reactor
        self._seconds = seconds
        self._late: Any = None

    def connectionMade(self) -> None:
        self._late = self._reactor.callLater(self._seconds, self._stays)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.closed.called:
            self._late.cancel()
            self.closed.callback(reason.value)

    def _stays(self) -> None:
        self.closed.callback(None)
        self.transport.loseConnection()
