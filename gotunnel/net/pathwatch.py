"""Checks connections every two seconds for conditions that the kernel reports only on request: a reset while reading is
paused, unacknowledged data, and last bytes that are not taken. It closes nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.net.sockets import PathState

__all__ = ["NODES", "LastBytes", "LegTimes", "PathWatch", "Stall", "Watched", "leg_times"]

INTERVAL = 2.0
"""Seconds between two checks; a lost leg must be noticed within 5 s (protocol, section 5)."""
UNACKNOWLEDGED_LIMIT = 30.0
"""Seconds after which a leg is reset because its data is not acknowledged (protocol, section 5)."""
LAST_BYTES_LIMIT = 120.0
"""Seconds that a visitor or target may leave its last bytes untaken once both directions have ended. This is about as
long as Linux keeps a closed socket whose peer's window is closed (tcp_orphan_retries)."""
SLICE = 256
"""Connections checked in one turn of the reactor, so that thousands of them do not delay everything else."""


@dataclass(frozen=True, slots=True)
class LegTimes:
    """Times after which a silent leg is given up, where they differ from the protocol's. `keepalive` is the seconds
    until the first probe, the seconds between probes, and their number. `silence` is the seconds without a packet after
    which data in flight proves the path dead; the keepalive must probe well before that."""

    keepalive: tuple[int, int, int]
    silence: float


NODES = LegTimes((4, 2, 6), 16.0)
"""For Kubernetes nodes. With a check every INTERVAL seconds a dead leg is closed after 18 s, and its visitor
reconnects; otherwise a kubelet would have no heartbeat until its node is considered dead. Most legs survive 10 seconds
without a packet: an idle one is heard from every 4 s and is probed after that, and data sent meanwhile is retransmitted
some 13 seconds after its first loss."""


def leg_times(profile: str) -> LegTimes | None:
    """Return the times of a profile named in the configuration; None for the protocol's own."""
    return NODES if profile == "kubernetes" else None


class Watched(Protocol):
    """Something that can be checked. `now` is in seconds."""

    def check(self, now: float) -> None: ...


class Stall:
    """Decides from the kernel's data on a path whether data has been unacknowledged for too long.

    TCP_USER_TIMEOUT would do so, too, but it also closes the connection of a peer that has merely stopped reading. And
    the age of the last acknowledgement alone says nothing about a connection that was idle until a moment ago.
    """

    __slots__ = ("_since", "_times")

    def __init__(self, times: LegTimes | None = None) -> None:
        self._since: float | None = None
        self._times = times

    def dead(self, path: PathState | None, now: float) -> bool:
        """Check `path` once. Returns True if data has been unacknowledged for UNACKNOWLEDGED_LIMIT seconds, or if some
        is and nothing was heard for the silence in `times`."""
        if path is None or not path.unacknowledged or path.window_closed:
            self._since = None
        elif self._since is None or path.last_ack_ms < (now - self._since) * 1000:
            self._since = now
        if self._since is None or path is None:
            return False
        if self._times is not None and path.silent_ms >= self._times.silence * 1000:
            return True
        return now - self._since >= UNACKNOWLEDGED_LIMIT


class LastBytes:
    """Decides whether a peer has taken none of its last bytes for too long. Both directions have ended then; a peer
    that never reads would hold a descriptor for ever, and a target its leg as well."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left = -1
        self._since = 0.0

    def refused(self, left: int, now: float) -> bool:
        """Check once, with `left` bytes remaining. Returns True if that has not changed for LAST_BYTES_LIMIT
        seconds."""
        if left != self._left:
            self._left, self._since = left, now
        return now - self._since >= LAST_BYTES_LIMIT


class PathWatch:
    """Checks what is registered. One per relay. Its timer runs only while something is registered."""

    def __init__(self, clock: IReactorTime) -> None:
        self.times: LegTimes | None = None
        """For legs made from now on."""
        self._clock = clock
        self._watched: dict[Watched, None] = {}
        self._left: list[Watched] = []  # still to be checked in this round
        self._timer: IDelayedCall | None = None
        self._stopped = False

    @property
    def keepalive(self) -> tuple[int, int, int] | None:
        """The keepalive settings for a new leg; None for the usual ones."""
        return None if self.times is None else self.times.keepalive

    def add(self, watched: Watched) -> None:
        """Check this from now on, until `remove`."""
        if not self._stopped:
            self._watched[watched] = None
            if self._timer is None:
                self._schedule()

    def remove(self, watched: Watched) -> None:
        """Stop checking this. Does nothing if it was not checked."""
        self._watched.pop(watched, None)

    def stop(self) -> None:
        """Stop checking everything, for good."""
        self._stopped = True
        self._watched.clear()
        self._left.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _schedule(self) -> None:
        if self._timer is None and self._watched:
            self._timer = self._clock.callLater(0 if self._left else INTERVAL, self._look)

    def _look(self) -> None:
        # The timer counts as running until the end of this turn, since a check may add and remove.
        left = self._left or list(self._watched)
        now, self._left = self._clock.seconds(), left[SLICE:]
        try:
            for watched in left[:SLICE]:
                if watched in self._watched:
                    watched.check(now)
        finally:
            self._timer = None
            self._schedule()
