"""Joins two connections byte for byte: a visitor or target on one side, and a raw leg of version 1 or another target on
the other. No frames, no checks."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.core.outcome import Outcome
from gotunnel.core.stream import StreamEnd, StreamTally
from gotunnel.net.local import Local
from gotunnel.net.pathwatch import PathWatch, Stall
from gotunnel.net.sockets import path_state
from gotunnel.net.transports import unsent_bytes
from gotunnel.wire.legstate import End

__all__ = ["Joint"]

SECOND_LOOK = 0.05
"""Seconds from the end of a leg until that end is passed on. The kernel closes the connections of a dead process one by
one in any order, so the leg may end a moment before the control connection."""


class Joint:
    """Two joined connections. `near` is the visitor (at an opener) or the target (at a dialler), `far` is the leg.

    `killed()` is asked when the leg ends cleanly. The connections of a killed process end as if they were complete;
    only its control connection, which has closed too, shows the difference. Such an end becomes a reset. With None
    there is no such connection to ask, and a clean end is passed on at once. `ended(end)` is called once, when both
    connections have closed.
    """

    def __init__(
        self,
        near: Local,
        far: Local,
        end: End,
        clock: IReactorTime,
        watch: PathWatch,
        killed: Callable[[], bool] | None,
        ended: Callable[[StreamEnd], None],
    ) -> None:
        self._near = near
        self._far = far
        self._end = end
        self._clock = clock
        self._watch = watch
        self._killed = killed
        self._ended = ended
        self._tally = StreamTally()
        self._stall = Stall()
        self._look: IDelayedCall | None = None
        self._eofs = 0
        self._left = 2

    def begin(self, leftover: bytes) -> None:
        """Start to move bytes; `leftover` are those that the leg has delivered already."""
        self._watch.add(self)
        self._near.attach(_Half(self, self._near, self._far))
        self._far.attach(_Half(self, self._far, self._near))
        if leftover and self._left == 2:
            self.moved(self._far, len(leftover))
            self._near.write(leftover)
        for local in (self._near, self._far):
            local.resume()

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes so far: to the target, and back."""
        return self._tally.carried(opener=self._end is End.OPENER)

    def reset(self, outcome: Outcome) -> None:
        """Reset both connections, with this outcome."""
        self._tally.note(outcome)
        self._near.abort()
        self._far.abort()

    def check(self, now: float) -> None:
        """Give up a leg whose data is no longer acknowledged (called by the path watch)."""
        if not self._far.gone and self._stall.dead(path_state(self._far.transport.getHandle()), now):
            self.reset(Outcome.LEG_LOST)

    # Called by the halves.

    def moved(self, source: Local, count: int) -> None:
        """Count bytes that came from `source`."""
        if source is self._near:
            self._tally.sent += count
        else:
            self._tally.received += count

    def eof(self, source: Local, other: Local) -> None:
        """The direction from `source` to `other` has ended."""
        if source is self._far and self._killed is not None:
            self._look = self._clock.callLater(SECOND_LOOK, self._far_ended)
        else:
            self._end_of(other)

    def _far_ended(self) -> None:
        self._look = None
        if self._killed is not None and self._killed():
            self.reset(Outcome.LEG_LOST)
        else:
            self._end_of(self._near)

    def _end_of(self, other: Local) -> None:
        """Pass the end of stream on to `other`."""
        self._eofs += 1
        other.half_close()
        if self._eofs == 2:
            self._near.finish()
            self._far.finish()

    def lost(self, source: Local, other: Local) -> None:
        """`source` was reset: reset `other`, too. If both directions had ended and nothing was left to send, the reset
        counts as an orderly close."""
        if self._eofs == 2 and not unsent_bytes(source.transport):
            self.closed()
            return
        if source is self._far:
            self._tally.note(Outcome.LEG_LOST)
        else:
            self._tally.note(Outcome.RESET_BY_VISITOR if self._end is End.OPENER else Outcome.RESET_BY_TARGET)
        other.abort()
        self.closed()

    def closed(self) -> None:
        """One of the two connections has closed."""
        self._left -= 1
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if not self._left:
            self._watch.remove(self)
            self._ended(self._tally.end(opener=self._end is End.OPENER))


class _Half:
    """Receives the events of one connection (see LocalSink) and passes them on to the other."""

    def __init__(self, joint: Joint, local: Local, other: Local) -> None:
        self._joint = joint
        self._local = local
        self._other = other

    def local_data(self, data: bytes) -> None:
        self._joint.moved(self._local, len(data))
        self._other.write(data)

    def local_eof(self) -> None:
        self._joint.eof(self._local, self._other)

    def local_lost(self) -> None:
        self._joint.lost(self._local, self._other)

    def local_closed(self) -> None:
        self._joint.closed()

    def local_full(self) -> None:
        self._other.pause()

    def local_ready(self) -> None:
        self._other.resume()
