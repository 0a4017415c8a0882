"""A Twisted transport on one end of a pair of unix sockets, for a connection whose real ends are elsewhere."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IProtocol

__all__ = ["PairTransport"]


class PairTransport(tcp.Server):
    """Looks like the transport of a TCP connection from `peer` to `host`. `label` appears in its repr."""

    def __init__(
        self, sock: socket.socket, protocol: IProtocol, peer: IAddress, host: IAddress, reactor: Any, label: str
    ) -> None:
        self._peer = peer
        self._host = host
        self._options = {"nodelay": True, "keepalive": True}
        super().__init__(sock, protocol, (str(getattr(peer, "host", peer)), 0), None, 0, reactor)  # type: ignore[arg-type]
        self.repstr = f"<{type(protocol).__name__} {label}>"

    def getPeer(self) -> Any:
        """Return the address of the other end."""
        return self._peer

    def getHost(self) -> Any:
        """Return the address that the other end connected to."""
        return self._host

    # The options below belong to the connection that carries the bytes; a unix socket does not have them.

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
