"""A datagram socket connected to one target, so that an answer belongs to one flow, and ICMP errors are reported for
it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from gotunnel.address import HostPort
from gotunnel.errors import DialFailed, Sentence, system_words
from gotunnel.net.quiet import nothing
from gotunnel.net.reasons import DIAL_ERRNOS, NO_SOURCE
from gotunnel.net.sockets import is_itself
from gotunnel.net.udp import BIGGEST, DatagramSocket

__all__ = ["REFUSALS", "TargetSocket", "no_way"]

REFUSALS = (ConnectionRefusedError, ConnectionResetError)
"""How a system reports that nobody listens there; the second one is Windows'."""
_NO_SOURCE = (errno.EADDRNOTAVAIL, errno.EAGAIN)
"""The second occurs if all local ports are bound: UDP does not share them."""
_NO_FDS = (errno.EMFILE, errno.ENFILE)
_OF_ONE = (errno.EMSGSIZE, errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR)
"""Errors that concern one datagram or this moment only."""


def no_way(failed: OSError) -> bool:
    """Return whether this error means that the target cannot be reached: there is no route, a firewall forbids it, or
    this machine has lost the source address."""
    return failed.errno not in _OF_ONE


class TargetSocket(DatagramSocket):
    """One socket. `arrived(datagram)` is called for each datagram from the target, `refused()` if its system reports
    that nobody listens, `unreached()` if any system reports that there is no way to it. Raises DialFailed."""

    def __init__(
        self, reactor: Any, host: str, port: int, arrived: Callable[[bytes], None], refused: Callable[[], None],
        unreached: Callable[[], None] = nothing,
    ) -> None:  # fmt: skip
        self.host = host
        place = HostPort(host, port)
        sock = None
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((host, port))
            if is_itself(sock):  # while this socket exists, the next one gets another port
                with sock:
                    sock = socket.socket(sock.family, sock.type)
                    sock.connect((host, port))
            sock.setblocking(False)
        except OSError as failed:
            if sock is not None:
                sock.close()
            words = NO_SOURCE if failed.errno in _NO_SOURCE else system_words(failed)
            code = "unreachable"
            if failed.errno in _NO_FDS:
                code, words = DIAL_ERRNOS[failed.errno]
            raise DialFailed(code, Sentence("{target}: {words}", target=place, words=words)) from None
        name = sock.getsockname()
        self.here = str(HostPort(name[0], name[1]))
        self.arrived = arrived
        self.refused = refused
        self.unreached = unreached
        super().__init__(reactor, sock)

    def source(self) -> str:
        """Return the local address from which it sends now. It is no usable one if an administrator has disconnected
        the socket (`ss --kill`)."""
        return "" if self._sock is None else str(self._sock.getsockname()[0])

    def send(self, datagram: bytes) -> None:
        """Send a datagram. Raises OSError. One of REFUSALS means that earlier datagrams were refused; other errors may
        concern earlier ones as well, and then the next attempt succeeds."""
        if self._sock is not None:
            self._sock.send(datagram)

    def _read(self, sock: socket.socket) -> None:
        self.arrived(sock.recv(BIGGEST))

    def _failed(self, failed: OSError) -> None:
        if isinstance(failed, REFUSALS):
            self.refused()
        elif no_way(failed):
            self.unreached()
