"""What gotunnel needs to know of Twisted's transports beyond their interfaces: the socket below TLS, the bytes not yet
in the kernel, and how one protocol hands a live connection to the next. Each private attribute read here has a test."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol

__all__ = ["close_as_lingering", "hand_over", "is_closing", "raw_socket", "tcp_transport", "unsent_bytes"]


def tcp_transport(transport: Any) -> Any:
    """Return the TCP transport: the one below TLS, or the transport itself."""
    return transport.transport if isinstance(transport, TLSMemoryBIOProtocol) else transport


def raw_socket(transport: Any) -> socket.socket:
    """Return the kernel's socket of a TCP transport or of the one below TLS."""
    handle: socket.socket = tcp_transport(transport).getHandle()
    return handle


def close_as_lingering(transport: Any) -> None:
    """From now on a close is what the socket's SO_LINGER makes of it.

    Twisted shuts a socket down in order ahead of every close that is no abort, also when the reactor stops under a
    stream: that sends FIN, and a lingering reset comes too late.
    """
    tcp_transport(transport)._shouldShutdown = False


def unsent_bytes(transport: Any) -> int:
    """Count the bytes that were written to a transport and are not in the kernel yet (below TLS: as ciphertext)."""
    tcp = tcp_transport(transport)
    waiting: int = len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen
    if tcp is not transport:
        waiting += sum(map(len, transport._appSendBuffer))
    if isinstance(transport, BufferingTLSTransport):
        gathered: Any = transport._aggregator
        waiting += sum(map(len, gathered._buffer))
    return waiting


def is_closing(transport: Any) -> bool:
    """Say whether the TCP connection of a transport is being closed in order, by TLS's own will perhaps.

    When the other end ends TLS, Twisted stops reading and closes once its buffer is written; but with a producer that
    was paused it never comes to that, and nobody is told.
    """
    return bool(tcp_transport(transport).disconnecting)


def hand_over(transport: Any, protocol: IProtocol, leftover: bytes) -> None:
    """Make `protocol` the one that a live transport talks to, and give it what had arrived already."""
    if isinstance(transport, TLSMemoryBIOProtocol):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
    if leftover:
        protocol.dataReceived(leftover)
