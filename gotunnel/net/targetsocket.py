"""A datagram socket that is connected to one target, so that an answer belongs to one flow and the systems on the way
can say what became of a datagram."""

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
"""How a system's word that nobody listens there is passed on; the second on Windows."""
_NO_SOURCE = (errno.EADDRNOTAVAIL, errno.EAGAIN)
"""The second of a machine whose ports are all bound: those of UDP are not shared."""
_NO_FDS = (errno.EMFILE, errno.ENFILE)
_OF_ONE = (errno.EMSGSIZE, errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR)
"""What a system says of one datagram and of this moment."""


def no_way(failed: OSError) -> bool:
    """Whether this says that nothing gets to where it was sent: there is no route, a firewall forbids it, or this
    machine has lost the address from which it went."""
    return failed.errno not in _OF_ONE


class TargetSocket(DatagramSocket):
    """`arrived(datagram)` is called for each datagram of the target, `refused()` when its system says that nobody
    listens there, `unreached()` when any system says that there is no way to it. Raises DialFailed."""

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
            if is_itself(sock):  # as long as it is there the system chooses another port
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
        """Return the address of this machine from which it sends now: none that can be, once the socket was
        disconnected by who administers the machine (`ss --kill`)."""
        return "" if self._sock is None else str(self._sock.getsockname()[0])

    def send(self, datagram: bytes) -> None:
        """Send one. Raises OSError, one of REFUSALS for what `refused` would tell of those before it; others, too, may
        be of those before, and then the next attempt succeeds."""
        if self._sock is not None:
            self._sock.send(datagram)

    def _read(self, sock: socket.socket) -> None:
        self.arrived(sock.recv(BIGGEST))

    def _failed(self, failed: OSError) -> None:
        if isinstance(failed, REFUSALS):
            self.refused()
        elif no_way(failed):
            self.unreached()
