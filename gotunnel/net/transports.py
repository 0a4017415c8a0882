"""What gotunnel needs from Twisted's transports beyond their interfaces: the socket below TLS, the bytes not yet in the
kernel, and how one protocol hands a live connection to the next. Each private attribute used here has a test."""

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
    """Return the kernel's socket of a TCP transport, or of the one below TLS."""
    handle: socket.socket = tcp_transport(transport).getHandle()
    return handle


def close_as_lingering(transport: Any) -> None:
    """Leave every close to the socket's SO_LINGER from now on.

    Twisted shuts a socket down in order before every close that is not an abort, also when the reactor stops in the
    middle of a stream. That sends FIN, and then a lingering reset comes too late.
    """
    tcp_transport(transport)._shouldShutdown = False


def unsent_bytes(transport: Any) -> int:
    """Return how many bytes written to a transport are not in the kernel yet (below TLS: as ciphertext)."""
    tcp = tcp_transport(transport)
    waiting: int = len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen
    if tcp is not transport:
        waiting += sum(map(len, transport._appSendBuffer))
    if isinstance(transport, BufferingTLSTransport):
        gathered: Any = transport._aggregator
        waiting += sum(map(len, gathered._buffer))
    return waiting


def is_closing(transport: Any) -> bool:
    """Return whether the TCP connection of a transport is being closed in order, possibly by TLS.

    When the other end ends TLS, Twisted stops reading and closes once its buffer is written. With a paused producer
    that never happens, and nothing is reported.
    """
    return bool(tcp_transport(transport).disconnecting)


def hand_over(transport: Any, protocol: IProtocol, leftover: bytes) -> None:
    """Connect a live transport to `protocol` instead, and give it the bytes that have arrived already."""
    if isinstance(transport, TLSMemoryBIOProtocol):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
    if leftover:
        protocol.dataReceived(leftover)
