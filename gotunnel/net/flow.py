"""A flow: the datagrams between one address and a leg. To the leg it is the local connection. A flow queues a few
datagrams until it has a leg and a target, drops those the leg does not take, and ends by itself when idle. The Outlet
has the socket; `portableflow` and `fast.flow` adapt it to the legs of each relay."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from gotunnel.core.dropped import Drop
from gotunnel.core.stream import IDLE
from gotunnel.errors import LocalProtocolError
from gotunnel.interfaces import ILocal
from gotunnel.net.quiet import nothing
from gotunnel.wire.datagrams import MOST_DATAGRAM, Assembly

__all__ = ["MOST_WAITING", "MOST_WAITING_BYTES", "Flow", "Outlet", "unfit"]

MOST_WAITING = 16
"""Datagrams that a flow takes until its target has answered, and that it queues while its leg takes none. A burst fills
the leg's own buffer, and there is room again a moment later."""
MOST_WAITING_BYTES = MOST_DATAGRAM
"""Their bytes: as many as one datagram may have. The source may be forged, and there can be many such flows."""


def unfit(datagram: bytes) -> Drop | None:
    """Return why a datagram cannot be carried at all; None if it can."""
    if not datagram:
        return Drop.EMPTY
    return Drop.TOO_LONG if len(datagram) > MOST_DATAGRAM else None


class Outlet(Protocol):
    """The socket of a flow."""

    def send(self, datagram: bytes) -> None:
        """Send a datagram. Raises OSError if the other side reports that nobody listens; the flow then ends."""

    def close(self) -> None:
        """Close the socket: the flow is over."""


@implementer(ILocal)
class Flow(ABC):
    """One flow. `here` is the address of this end as text. `idle` is the seconds without a datagram after which it
    ends. `dropped(drop)` is called for each datagram that is not carried. `answered` says whether its target has
    answered already."""

    def __init__(
        self, clock: Any, outlet: Outlet, idle: float, address: str, host: str, here: str,
        dropped: Callable[[Drop], None], answered: bool,
    ) -> None:  # fmt: skip
        self.address = address
        self.host = host
        self.gone = False
        self.partner: Any = None
        self.why: str | None = None
        self.on_gone: Callable[[], None] = nothing
        self.reading = False
        """Whether the leg takes datagrams."""
        self._here = here
        self._clock = clock
        self._outlet = outlet
        self._dropped = dropped
        self._idle = idle
        self._queue: deque[bytes] = deque()
        self._answered = answered
        self._begun = self._begun_bytes = 0  # datagrams and bytes taken before the answer
        self._assembly = Assembly()
        self._last = clock.seconds()
        self._timer: IDelayedCall | None = clock.callLater(idle, self._look)

    # Called by the outlet.

    def arrived(self, datagram: bytes) -> None:
        """Take a datagram for the leg."""
        if self.gone:
            return
        self._last = self._clock.seconds()
        if (why := unfit(datagram)) is not None:
            self._dropped(why)
        elif not self._answered and not self._room_for(datagram):
            self._dropped(Drop.WAITING)
        elif self.reading:
            self._queue.append(datagram)
            self._offer()
        elif len(self._queue) < MOST_WAITING:
            self._queue.append(datagram)
        else:
            self._dropped(Drop.BLOCKED if self._joined and self._answered else Drop.WAITING)

    def answered(self) -> None:
        """The target has answered: from now on only the leg's capacity limits the flow."""
        self._answered = True

    def moved(self, host: str, here: str) -> None:
        """The target is now reached at another address of its name."""
        self.host = host
        self._here = here

    def end(self, code: str) -> None:
        """End the flow; `code` says why."""
        if not self.gone:
            self.why = code
            self.lost()

    # ILocal.

    def destination(self) -> str:
        """See ILocal."""
        return "" if self.gone else self._here

    def fileno(self) -> int:
        """See ILocal. Without a descriptor nobody can look at the first bytes."""
        return -1

    def stand_for(self, address: str, host: str, destination: str) -> None:
        """See ILocal: datagrams carry no header that names another visitor."""
        raise LocalProtocolError("a flow of datagrams stands for nobody else")

    def begin_with(self, data: bytes) -> None:
        """See ILocal: no header precedes datagrams."""
        raise LocalProtocolError("a flow of datagrams begins with nothing of ours")

    def abort(self) -> None:
        """See ILocal."""
        if not self.gone:
            self._close()
            self.on_gone()
            self._reset_partner()

    def lost(self) -> None:
        """See ILocal. Does nothing if the flow is over."""
        if self.gone:
            return
        tell = self._joined
        self._close()
        if tell is not None:
            tell.local_lost()
        self.on_gone()
        self._reset_partner()

    # Called by the legs of both relays.

    def half_close(self) -> None:  # noqa: B027 - there is nothing to do, in any flow
        """The other end sends no more. Datagrams have no end of stream: the idle time ends the flow."""

    def finish(self) -> None:
        """Close the flow: all that arrived has been sent."""
        tell = self._joined
        self._close()
        if tell is not None:
            tell.local_closed()
        self.on_gone()

    def check(self, now: float) -> None:  # noqa: B027 - there is nothing to do, in any flow
        """Do nothing: the kernel reports everything about a datagram socket."""

    # For the subclasses.

    @property
    @abstractmethod
    def _joined(self) -> Any:
        """The leg that has this flow, or None."""

    @abstractmethod
    def _part(self) -> None:
        """Detach from the leg."""

    @abstractmethod
    def _offer(self) -> None:
        """Give queued datagrams to the leg, which takes as many as it can."""

    def _take(self, piece: memoryview | bytes, ends: bool) -> None:
        """Take a piece of a frame from the leg; `ends` says whether it is the last. Raises OSError when the flow is
        over."""
        if self.gone:
            raise OSError(errno.ENOTCONN, "the flow is over")
        datagram = self._assembly.add(piece, ends)
        if datagram is None:
            return
        self._last = self._clock.seconds()
        if datagram:
            self._outlet.send(datagram)
        else:
            self._dropped(Drop.TOO_LONG)

    def _room_for(self, datagram: bytes) -> bool:
        if self._begun >= MOST_WAITING or self._begun_bytes + len(datagram) > MOST_WAITING_BYTES:
            return False
        self._begun += 1
        self._begun_bytes += len(datagram)
        return True

    def _look(self) -> None:
        left = self._last + self._idle - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._look)
        else:
            self._timer = None
            self.end(IDLE)

    def _close(self) -> None:
        if self.gone:
            return
        self.gone = True
        self.reading = False
        self._part()
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        outlet = self._outlet
        del self._outlet  # the two refer to each other, and would live until the next garbage collection
        outlet.close()

    def _reset_partner(self) -> None:
        if self.partner is not None and not self.partner.gone:
            self.partner.lost()
