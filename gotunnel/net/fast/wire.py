"""Takes the descriptor for a fast leg from a Twisted transport after its handshake. From then on the transport only
holds it."""

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
    """The protocol of a transport that only holds a descriptor. It reports when the transport has closed."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The descriptor was closed, by this end: nothing else reads it."""
        self._on_lost(words_of(reason.value))


def take_descriptor(transport: Any, held: Held, keepalive: tuple[int, int, int] | None) -> socket.socket:
    """Stop `transport` from reading and writing, and return its socket. What it still had to write is sent first.
    `keepalive` is as for `set_keepalive`.

    Raises RemoteProtocolError if that cannot be sent: then the connection is broken.
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
