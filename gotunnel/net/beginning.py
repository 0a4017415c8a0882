"""An endpoint that sends some bytes first on each connection, below the TLS of its user, if any."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from gotunnel.net.quiet import OneProtocol
from gotunnel.net.transports import hand_over

__all__ = ["Beginning"]


@implementer(IStreamClientEndpoint)
class Beginning:
    """Wraps `endpoint`: each connection begins with the bytes `begins`."""

    def __init__(self, endpoint: IStreamClientEndpoint, begins: bytes = b"") -> None:
        self._endpoint = endpoint
        self.begins = begins

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """See IStreamClientEndpoint."""
        if not self.begins:
            connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
            return connecting
        first = OneProtocol(lambda: _First(self.begins, protocolFactory))
        beginning: Deferred[Any] = self._endpoint.connect(first)
        return beginning.addCallback(lambda protocol: protocol.next)


class _First(Protocol):
    """Sends the bytes, then hands the connection over to the requested protocol."""

    transport: Any
    next: IProtocol | None = None

    def __init__(self, begins: bytes, factory: IProtocolFactory) -> None:
        self._begins = begins
        self._factory = factory

    def connectionMade(self) -> None:
        self.transport.write(self._begins)
        self.next = self._factory.buildProtocol(self.transport.getPeer())
        if self.next is None:
            self.transport.abortConnection()
        else:
            hand_over(self.transport, self.next, b"")
