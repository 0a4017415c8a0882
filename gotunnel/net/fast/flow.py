"""A flow as the legs of the fast relay know their local connections. What a flow is: see `net.flow`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from gotunnel.net.flow import Flow

__all__ = ["FastFlow"]


class FastFlow(Flow):
    """See `FastLocal`, in whose place a leg gets it. The leg reads it as it reads a socket, one datagram at a time, and
    makes a frame of each read."""

    fd = -1
    pipe: Any = None
    begins = False
    told = True
    blocked = True
    """No pipe for what arrives: it would forget where one datagram ends."""
    read_ended = False
    leg: Any = None
    _offering: Any = None

    @property
    def sock(self) -> _Inlet:
        """What the leg reads."""
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
        """The leg takes datagrams, or none."""
        self.reading = on = on and not self.gone
        if on and self._queue and self._offering is None:
            # Not from within the leg, which is busy with what it tells us.
            self._offering = self._clock.callLater(0, self._offer_now)

    def expect_much(self) -> None:
        """Much is coming for it, which UDP sends as it comes."""

    def watch_for_loss(self) -> None:
        """It is told of a loss whether it is read or not."""

    def rest(self) -> None:
        """It never ends its direction."""

    def send(self, data: memoryview | bytes) -> bool:
        """A piece of a frame has come. Never more than can be taken: what the socket does not take is dropped. Raises
        OSError when the flow is over."""
        self._take(data, self.leg is None or not self.leg.unfinished)
        return False

    def send_all(self, pieces: Sequence[memoryview | bytes]) -> bool:
        """The same with pieces of several frames: each but the last one is the end of its own."""
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
    """The one end of a socket that a leg needs."""

    __slots__ = ("_queue",)

    def __init__(self, queue: deque[bytes]) -> None:
        self._queue = queue

    def recv_into(self, buffer: memoryview) -> int:
        """Take the next datagram."""
        if not self._queue:
            raise BlockingIOError
        datagram = self._queue.popleft()
        buffer[: len(datagram)] = datagram
        return len(datagram)
