"""The connection of a leg in `twins`: what the leg asks of Twisted, and TLS on it, without a reactor."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gotunnel.net.biotls import BioTls

__all__ = ["Peer", "Tcp", "Tls", "shaken"]

Peer = tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]
"""A session, what comes for it, and what it has to send."""


class Tls(NamedTuple):
    """The contexts of both ends of a leg inside TLS."""

    server: ssl.SSLContext
    client: ssl.SSLContext


class Tcp:
    """What a leg asks of Twisted's transport."""

    dataBuffer, offset, _tempDataLen, disconnecting = b"", 0, 0, False

    def __init__(self, sock: socket.socket, clock: Clock, say: Callable[..., None]) -> None:
        self._sock, self._clock, self._say = sock, clock, say
        self.protocol: Any = None
        self.closed = False

    def getHandle(self) -> socket.socket:
        return self._sock

    def write(self, data: bytes) -> None:
        self._sock.sendall(data)

    def stopReading(self) -> None: ...
    def stopWriting(self) -> None: ...

    def loseConnection(self) -> None:
        self._close("in order", ConnectionDone())

    def abortConnection(self) -> None:
        self._close("aborted", ConnectionAborted())

    def _close(self, how: str, why: Exception) -> None:
        self._say("wire", how)
        if not self.closed:
            self.closed = True
            self._sock.close()
            self._clock.callLater(0, self.protocol.connectionLost, Failure(why))


def shaken(tls: Tls, tcp: Tcp, far: socket.socket, server: bool) -> tuple[BioTls, Peer]:
    """Return both ends of a connection behind TLS's handshake: as a leg gets it, and the other one by itself."""
    bio = BioTls(tls.server if server else tls.client, Protocol(), server_side=server, server_name=None)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = tls.client if server else tls.server
    session = context.wrap_bio(incoming, outgoing, not server)
    bio.makeConnection(tcp)
    for _ in range(4):
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        far.sendall(outgoing.read())
        for take, sock in ((bio.dataReceived, tcp.getHandle()), (incoming.write, far)):
            try:
                take(sock.recv(65536))
            except BlockingIOError:
                pass
    tcp.protocol = bio
    return bio, (session, incoming, outgoing)
