"""Connects to a unix socket whose queue may be full. The system does not report when there is room, so the attempt is
repeated. Twisted's endpoint does not do that: with epoll and poll it takes such a target for broken; with select and
asyncio it retries without a pause, using a whole processor."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol, TimeoutError, getConnectError
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.net.quiet import OneProtocol
from gotunnel.net.sockets import ROOM_AGAIN

__all__ = ["UnixEndpoint"]


@implementer(IStreamClientEndpoint)
class UnixEndpoint:
    """One path. `timeout` is in seconds. The factory only has to build a protocol; it is not started or stopped."""

    def __init__(self, reactor: Any, path: str, timeout: float) -> None:
        self._reactor = reactor
        self._path = path
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        return _Attempt(self._reactor, self._path, self._timeout, protocolFactory).connected


class _Attempt:
    """One attempt to connect. `connected` fires with the protocol, or fails."""

    def __init__(self, reactor: Any, path: str, timeout: float, factory: IProtocolFactory) -> None:
        self.connected: Deferred[IProtocol] = Deferred(lambda _: self._cancel())
        self._reactor = reactor
        self._path = path
        self._until = reactor.seconds() + timeout
        self._factory = factory
        self._timer: IDelayedCall | None = None
        self._try()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try(self) -> None:
        self._timer = None
        try:
            sock = socket.socket(socket.AF_UNIX)
        except OSError as failed:
            self.connected.errback(getConnectError(failed))
            return
        with sock:  # Twisted duplicates the descriptor
            try:
                sock.setblocking(False)
                sock.connect(self._path)
            except BlockingIOError:
                self._try_again()
            except OSError as failed:
                self.connected.errback(getConnectError(failed))
            else:
                self._connected(sock)

    def _try_again(self) -> None:
        left = self._until - self._reactor.seconds()
        if left > 0:
            self._timer = self._reactor.callLater(min(ROOM_AGAIN, left), self._try)
        else:
            self.connected.errback(TimeoutError())

    def _connected(self, sock: socket.socket) -> None:
        try:
            protocol: Any = self._factory.buildProtocol(UNIXAddress(self._path))
            if protocol is None:
                raise NoProtocol
            self._reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, OneProtocol(lambda: protocol))
        except Exception:  # noqa: BLE001 - the caller of `connect` gets it
            self.connected.errback(Failure())
            return
        self.connected.callback(protocol)
