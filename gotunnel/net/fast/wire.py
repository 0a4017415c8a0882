"""Where a fast leg gets its descriptor from: a Twisted transport whose handshake is over, which from then on only holds
it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gotunnel.errors import RemoteProtocolError
from gotunnel.net.biotls import BioTls
from gotunnel.net.reasons import words_of
from gotunnel.net.sockets import set_keepalive, set_nodelay
from gotunnel.net.transports import hand_over, raw_socket, unsent_bytes

__all__ = ["Held", "take_descriptor"]


class Held(Protocol):
    """The protocol of a transport that only holds a descriptor: it is told when that is closed."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Closed, by ourselves: nobody else reads it."""
        self._on_lost(words_of(reason.value))


def take_descriptor(transport: Any, held: Held, keepalive: tuple[int, int, int] | None) -> socket.socket:
    """Let `transport` read and write no more, and return its socket. What it had still to write has left, or does now.
    `keepalive` is as for `set_keepalive`.

    Raises RemoteProtocolError if it could not: then the connection is broken.
    """
    if isinstance(transport, BioTls):
        transport.take()
    tcp = transport.transport if isinstance(transport, BioTls) else transport
    sock = raw_socket(tcp)
    set_nodelay(sock)
    set_keepalive(sock, keepalive)
    if unsent_bytes(tcp):
        tcp.doWrite()
        if unsent_bytes(tcp):
            raise RemoteProtocolError("the connection broke at the end of its handshake", "closed")
    tcp.stopReading()
    tcp.stopWriting()
    hand_over(tcp, held, b"")
    return sock
