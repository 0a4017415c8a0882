"""Joins two Twisted connections: each passes bytes, back-pressure, half-closes and resets to the other."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Bridge"]


@implementer(IHalfCloseableProtocol)
class Bridge(Protocol):
    """One end. Nothing is read from it before it has met the other end and both are connected."""

    transport: Any

    def __init__(self) -> None:
        self.other: Bridge | None = None
        self._connected = False
        self._joined = False
        self._over: Failure | None = None
        self._read_ended = self._write_ended = False

    def meet(self, other: Bridge) -> None:
        """Join these two ends."""
        self.other, other.other = other, self
        if other._over is not None:
            other._tell(other._over)

    def abort(self) -> None:
        """Reset the connection, if it exists."""
        if self._connected and self._over is None:
            self.transport.abortConnection()

    # Called by Twisted:

    def connectionMade(self) -> None:
        """Start reading when the other end can take the data."""
        self._connected = True
        other = self.other
        if other is None or not other._connected:
            self.transport.pauseProducing()
            return
        if other._over is not None:
            other._tell(other._over)
            return
        for one, two in ((self, other), (other, self)):
            two.transport.registerProducer(one.transport, True)
            two._joined = True
        other.transport.resumeProducing()
        if other._read_ended:
            self._end_direction()

    def dataReceived(self, data: bytes) -> None:
        """Pass the data to the other end."""
        assert self.other is not None
        self.other.transport.write(data)

    def readConnectionLost(self) -> None:
        """The other side sends no more: pass that on."""
        if self._read_ended:
            return
        self._read_ended = True
        if self.other is not None and self.other._connected:
            self.other._end_direction()
        self._close_if_done()

    def writeConnectionLost(self) -> None:
        """Everything that was written is in the kernel, and so is the end of it."""
        self._write_ended = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._read_ended and self._write_ended and self._over is None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close the other end in the same way."""
        self._over = reason
        if self.other is not None:
            self._tell(reason)

    def _tell(self, reason: Failure) -> None:
        other = self.other
        if other is None or not other._connected or other._over is not None:
            return
        other._unregister()
        if reason.check(error.ConnectionDone):
            other.transport.loseConnection()
        else:
            other.transport.abortConnection()

    def _unregister(self) -> None:
        if self._joined:
            self._joined = False
            self.transport.unregisterProducer()

    def _end_direction(self) -> None:
        if self._over is not None:
            return
        self._unregister()
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if half_close is None:  # Twisted's TLS below 1.3 cannot half-close
            self.transport.loseConnection()
        else:
            half_close()
