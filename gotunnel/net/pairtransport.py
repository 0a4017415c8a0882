"""A transport of Twisted on one end of a pair of unix sockets, for a connection whose real ends are elsewhere."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IProtocol

__all__ = ["PairTransport"]


class PairTransport(tcp.Server):
    """As that of a TCP connection, whose other end is `peer`, and this one `host`; `label` goes into its repr."""

    def __init__(
        self, sock: socket.socket, protocol: IProtocol, peer: IAddress, host: IAddress, reactor: Any, label: str
    ) -> None:
        self._peer = peer
        self._host = host
        self._options = {"nodelay": True, "keepalive": True}
        super().__init__(sock, protocol, (str(getattr(peer, "host", peer)), 0), None, 0, reactor)  # type: ignore[arg-type]
        self.repstr = f"<{type(protocol).__name__} {label}>"

    def getPeer(self) -> Any:
        """Who is at the other end."""
        return self._peer

    def getHost(self) -> Any:
        """Where he has come to."""
        return self._host

    # What carries the bytes has these already, and a unix socket does not know them.

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport."""
        return self._options["nodelay"]

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport."""
        self._options["nodelay"] = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""
        return self._options["keepalive"]

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""
        self._options["keepalive"] = bool(enabled)
