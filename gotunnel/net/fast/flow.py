"""Adapts a flow to the legs of the fast relay. For flows see `net.flow`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from gotunnel.net.flow import Flow

__all__ = ["FastFlow"]


class FastFlow(Flow):
    """A flow with the interface of `FastLocal` that a leg uses. The leg reads it like a socket, one datagram at a time,
    and makes a frame of each read."""

    fd = -1
    pipe: Any = None
    begins = False
    told = True
    blocked = True
    """Always true, so that no pipe is used for what arrives: a pipe does not keep the limits of datagrams."""
    read_ended = False
    leg: Any = None
    _offering: Any = None

    @property
    def sock(self) -> _Inlet:
        """The object that the leg reads from."""
        return _Inlet(self._queue)

    @property
    def _joined(self) -> Any:
        return self.leg

    def _part(self) -> None:
        self.leg = None
        if self._offering is not None:
            self._offering.cancel()
            self._offering = None

    def read_more(self, on: bool) -> None:
        """Start or stop giving datagrams to the leg."""
        self.reading = on = on and not self.gone
        if on and self._queue and self._offering is None:
            # In a later turn: the leg is still in the call that led here.
            self._offering = self._clock.callLater(0, self._offer_now)

    def expect_much(self) -> None:
        """Do nothing: UDP sends each datagram as it comes."""

    def watch_for_loss(self) -> None:
        """Do nothing: a loss is reported in any case."""

    def rest(self) -> None:
        """Do nothing: a flow never ends its direction."""

    def send(self, data: memoryview | bytes) -> bool:
        """Take a piece of a frame. Always returns False: what the socket does not take is dropped. Raises OSError when
        the flow is over."""
        self._take(data, self.leg is None or not self.leg.unfinished)
        return False

    def send_all(self, pieces: Sequence[memoryview | bytes]) -> bool:
        """Take pieces of several frames. Each except the last is the end of its frame."""
        for piece in pieces[:-1]:
            self._take(piece, True)
        return self.send(pieces[-1])

    def _offer_now(self) -> None:
        self._offering = None
        self._offer()

    def _offer(self) -> None:
        while self.reading and self._queue and self.leg is not None:
            self.leg.local_readable()


class _Inlet:
    """Reads from the flow's queue like a socket; has only the method that a leg uses."""

    __slots__ = ("_queue",)

    def __init__(self, queue: deque[bytes]) -> None:
        self._queue = queue

    def recv_into(self, buffer: memoryview) -> int:
        """Take the next datagram. Raises BlockingIOError if there is none."""
        if not self._queue:
            raise BlockingIOError
        datagram = self._queue.popleft()
        buffer[: len(datagram)] = datagram
        return len(datagram)
