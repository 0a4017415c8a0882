"""Version 2 spoken by hand over blocking sockets, inside TLS or not, at either end: for peers that must be able to say
anything. It proves itself like a real peer and obeys nothing else."""

from __future__ import annotations

import hashlib
import itertools
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from OpenSSL import SSL, crypto

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import (
    NO_BINDING,
    ClientHandshake,
    Established,
    leg_client_mac,
    leg_server_mac,
    same,
)
from gotunnel.wire.messages import Leg, LegOk, Message, decode, encode

__all__ = ["Raw", "Session", "abort_on_close", "accepted", "connect", "login"]

PATIENCE = 20.0
"""Seconds that a read or a write may take."""
EXPORTER = b"EXPORTER-Channel-Binding"


class Raw:
    """One connection. Reads return b"" when the other end has closed it, in order or not."""

    def __init__(self, sock: socket.socket, tls: SSL.Connection | None) -> None:
        self.sock = sock
        self.tls = tls
        self.was_reset = False
        # The kernel's own timeouts: with Python's, a socket is not blocking underneath, and pyOpenSSL sees that.
        self.patience(PATIENCE)

    def patience(self, seconds: float) -> None:
        """Let each read and write take so long. A TimeoutError says that it took longer."""
        interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)

    def send(self, data: bytes) -> None:
        """Send bytes; to somebody who has gone already is no error."""
        try:
            (self.tls or self.sock).sendall(data)
        except BlockingIOError:
            raise TimeoutError("nobody reads") from None
        except (OSError, SSL.Error):
            pass

    def read(self, most: int = 65536) -> bytes:
        """Read what is there, at least one byte unless the connection is over."""
        try:
            return (self.tls or self.sock).recv(most)
        except (BlockingIOError, SSL.WantReadError):
            raise TimeoutError("nothing came") from None
        except SSL.ZeroReturnError:
            return b""
        except (OSError, SSL.Error):
            self.was_reset = True
            return b""

    def exactly(self, count: int) -> bytes:
        """Read so many bytes, or fewer if the connection ends before."""
        parts: list[bytes] = []
        while count and (part := self.read(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def rest(self) -> bytes:
        """Read to the end of the connection."""
        parts: list[bytes] = []
        while part := self.read():
            parts.append(part)
        return b"".join(parts)

    def payload(self) -> bytes | None:
        """Read one frame of a control connection; None at the end."""
        header = self.exactly(4)
        return self.exactly(int.from_bytes(header, "big")) if len(header) == 4 else None

    def say(self, message: Message) -> None:
        """Send one message."""
        self.send(encode_frame(encode(message)))

    def hear(self) -> Message | None:
        """Read one message; None at the end."""
        payload = self.payload()
        return None if payload is None else decode(payload)

    def control_binding(self) -> bytes:
        """Return CB of a control connection."""
        return NO_BINDING if self.tls is None else self.tls.export_keying_material(EXPORTER, 32)

    def leg_binding(self) -> bytes:
        """Return CB of a leg, at the client."""
        if self.tls is None:
            return NO_BINDING
        certificate = self.tls.get_peer_certificate()
        assert certificate is not None
        return hashlib.sha256(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)).digest()

    def close(self) -> None:
        """Close it, however it stands."""
        self.sock.close()


def abort_on_close(sock: socket.socket) -> None:
    """Make the close of this socket a reset, which leaves no TIME_WAIT behind: tests connect ten thousand times."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def connect(host: str, port: int, *, tls: bool, sni: bytes | None = None, newest: int = SSL.TLS1_3_VERSION) -> Raw:
    """Connect to a server; any certificate will do. Raises SSL.Error when TLS comes to nothing."""
    sock = socket.create_connection((host, port), PATIENCE)
    abort_on_close(sock)
    sock.settimeout(None)
    if not tls:
        return Raw(sock, None)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(newest)
    connection = SSL.Connection(context, sock)
    if sni is not None:
        connection.set_tlsext_host_name(sni)
    connection.set_connect_state()
    connection.do_handshake()
    return Raw(sock, connection)


def accepted(sock: socket.socket, context: SSL.Context | None) -> Raw:
    """Serve a connection that was accepted."""
    abort_on_close(sock)
    sock.settimeout(None)
    if context is None:
        return Raw(sock, None)
    connection = SSL.Connection(context, sock)
    connection.set_accept_state()
    connection.do_handshake()
    return Raw(sock, connection)


@dataclass
class Session:
    """A client that was let in, and the connection that it came by."""

    control: Raw
    established: Established
    host: str
    port: int
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def leg_message(self, raw: Raw, *, seq: int | None = None, purpose: str = "reverse") -> Leg:
        """Return the first message of a leg, with the right proof for this connection."""
        number = next(self.numbers) if seq is None else seq
        sid, ks = self.established.sid, self.established.ks
        return Leg(sid, number, purpose, leg_client_mac(ks, sid, number, purpose, raw.leg_binding()))  # type: ignore[arg-type]

    def leg(self, *, tls: bool) -> Raw:
        """Bring a leg and check the server's proof."""
        raw = connect(self.host, self.port, tls=tls)
        message = self.leg_message(raw)
        raw.say(message)
        answer = raw.hear()
        assert isinstance(answer, LegOk), answer
        expected = leg_server_mac(
            self.established.ks, message.sid, message.seq, message.purpose, raw.leg_binding()
        )
        assert same(answer.mac, expected)
        return raw


def login(host: str, port: int, name: str, token: str, *, tls: bool, instance: bytes = b"raw") -> Session:
    """Connect as a client and be let in."""
    raw = connect(host, port, tls=tls)
    handshake = ClientHandshake(name, token, instance, "raw")
    raw.send(encode_frame(handshake.hello()))
    raw.send(encode_frame(handshake.receive_challenge(raw.payload() or b"", raw.control_binding())))
    return Session(raw, handshake.receive_auth_ok(raw.payload() or b""), host, port)
