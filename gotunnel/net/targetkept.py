"""What a flow of datagrams keeps while its target may still refuse: the datagrams it has sent, for the next address,
and a standby socket to return to if the other addresses refuse."""

from __future__ import annotations

from collections.abc import Callable

from gotunnel.net.flow import MOST_WAITING, MOST_WAITING_BYTES
from gotunnel.net.quiet import nothing
from gotunnel.net.targetsocket import TargetSocket

__all__ = ["Kept", "Standby"]


class Kept:
    """Datagrams that were sent to an address and may still be refused: as many as may wait for a target."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.too_many = 0
        """How many more were sent that are not kept."""
        self._room = MOST_WAITING_BYTES

    def add(self, datagram: bytes) -> None:
        """Keep a datagram that was sent, if there is room."""
        if len(self.datagrams) < MOST_WAITING and len(datagram) <= self._room:
            self.datagrams.append(datagram)
            self._room -= len(datagram)
        else:
            self.too_many += 1


class Standby:
    """A silent socket, kept while other addresses are tried. It still receives; `arrived` and `refused` are called like
    those of a TargetSocket."""

    def __init__(self, sock: TargetSocket, arrived: Callable[[bytes], None], refused: Callable[[], None]) -> None:
        self.heard = False
        self._sock = sock
        self._before = sock.arrived, sock.refused, sock.unreached
        self._arrived = arrived
        sock.arrived, sock.refused, sock.unreached = self._hear, refused, nothing

    def back(self) -> TargetSocket:
        """Return the socket with its former callbacks."""
        self._sock.arrived, self._sock.refused, self._sock.unreached = self._before
        return self._sock

    def close(self) -> None:
        """Close the socket: it is not needed any more."""
        self._sock.close()

    @property
    def host(self) -> str:
        """The address it is connected to."""
        return self._sock.host

    def _hear(self, datagram: bytes) -> None:
        self.heard = True
        self._arrived(datagram)
