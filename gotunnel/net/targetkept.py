"""What a flow of datagrams keeps as long as its target may refuse: what it has sent, for the next address, and the
socket to which it comes back when the others refuse."""

from __future__ import annotations

from collections.abc import Callable

from gotunnel.net.flow import MOST_WAITING, MOST_WAITING_BYTES
from gotunnel.net.quiet import nothing
from gotunnel.net.targetsocket import TargetSocket

__all__ = ["Kept", "Standby"]


class Kept:
    """Datagrams that an address was sent and may refuse yet: as many as may wait for a target."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.too_many = 0
        """What it was sent besides."""
        self._room = MOST_WAITING_BYTES

    def add(self, datagram: bytes) -> None:
        """It was sent one more."""
        if len(self.datagrams) < MOST_WAITING and len(datagram) <= self._room:
            self.datagrams.append(datagram)
            self._room -= len(datagram)
        else:
            self.too_many += 1


class Standby:
    """A socket that said nothing, while other addresses are tried. It is heard all the same; `arrived` and `refused`
    are called as those of a TargetSocket are."""

    def __init__(self, sock: TargetSocket, arrived: Callable[[bytes], None], refused: Callable[[], None]) -> None:
        self.heard = False
        self._sock = sock
        self._before = sock.arrived, sock.refused, sock.unreached
        self._arrived = arrived
        sock.arrived, sock.refused, sock.unreached = self._hear, refused, nothing

    def back(self) -> TargetSocket:
        """Return the socket, as it was."""
        self._sock.arrived, self._sock.refused, self._sock.unreached = self._before
        return self._sock

    def close(self) -> None:
        """It is not needed any more."""
        self._sock.close()

    @property
    def host(self) -> str:
        """Where it leads to."""
        return self._sock.host

    def _hear(self, datagram: bytes) -> None:
        self.heard = True
        self._arrived(datagram)
