"""Two connections joined byte for byte: a visitor's (or target's), and the raw leg of version 1 or a target itself. It
frames nothing, and asks nobody whether they belong together."""

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
"""Seconds from the end of a leg until it is passed on. The kernel closes the connections of a dead process one after
the other, in any order, so that the leg can end a moment before the control connection does."""


class Joint:
    """`near` is the visitor (at an opener) or the target (at a dialler), `far` the leg.

    `killed()` is asked when the leg ends cleanly: a process that is killed ends its connections as if they were
    complete, and only its control connection, which is gone too, tells the difference. Such an end becomes a reset.
    None where no other connection could tell: then a clean end passes for one, at once.
    `ended(end)` is called once, when both connections are gone.
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
        """Let the bytes flow; `leftover` is what the leg has brought already."""
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
        """Bytes so far, to the target and back."""
        return self._tally.carried(opener=self._end is End.OPENER)

    def reset(self, outcome: Outcome) -> None:
        """Cut it."""
        self._tally.note(outcome)
        self._near.abort()
        self._far.abort()

    def check(self, now: float) -> None:
        """Give up a leg on which nothing is acknowledged any more (called by the path watch)."""
        if not self._far.gone and self._stall.dead(path_state(self._far.transport.getHandle()), now):
            self.reset(Outcome.LEG_LOST)

    # What the halves tell.

    def moved(self, source: Local, count: int) -> None:
        """So many bytes came from there."""
        if source is self._near:
            self._tally.sent += count
        else:
            self._tally.received += count

    def eof(self, source: Local, other: Local) -> None:
        """That direction has ended."""
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
        """Nothing more comes for `other`."""
        self._eofs += 1
        other.half_close()
        if self._eofs == 2:
            self._near.finish()
            self._far.finish()

    def lost(self, source: Local, other: Local) -> None:
        """It was reset: so is the other one; unless all was said and heard, and it went ahead of our own end."""
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
        """One of the two is gone."""
        self._left -= 1
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if not self._left:
            self._watch.remove(self)
            self._ended(self._tally.end(opener=self._end is End.OPENER))


class _Half:
    """See LocalSink: what one connection says, and which one is to hear of it."""

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
