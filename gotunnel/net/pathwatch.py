"""Looks, every two seconds, at connections for what the kernel tells nobody who does not ask: a reset while reading is
paused, data that nobody acknowledges, and last bytes that nobody takes. It closes nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gotunnel.net.sockets import PathState

__all__ = ["NODES", "LastBytes", "LegTimes", "PathWatch", "Stall", "Watched", "leg_times"]

INTERVAL = 2.0
"""Seconds between two looks; a lost leg must be noticed within 5 s (protocol, section 5)."""
UNACKNOWLEDGED_LIMIT = 30.0
"""Seconds after which unacknowledged data resets the leg (protocol, section 5)."""
LAST_BYTES_LIMIT = 120.0
"""Seconds that a visitor or a target, once both directions have ended, may take none of the bytes that are left for it.
About as long as Linux lets a closed socket wait for a closed window (tcp_orphan_retries)."""
SLICE = 256
"""Connections looked at in one turn of the reactor, so that thousands of them do not hold up the rest."""


@dataclass(frozen=True, slots=True)
class LegTimes:
    """How soon a silent leg is given up, where that is not as the protocol has it: keepalive (seconds until the first
    probe, between two, and how many), and seconds without a word after which data under way proves the path dead. That
    takes a keepalive that asks well before."""

    keepalive: tuple[int, int, int]
    silence: float


NODES = LegTimes((4, 2, 6), 16.0)
"""For nodes of Kubernetes: with the look every INTERVAL seconds a dead leg is gone after 18, and its visitor connects
anew; else a kubelet would have no heartbeat until it is taken for dead. Most live through 10
seconds without a packet: one that rests is heard of every 4, and a probe comes behind them; what was sent meanwhile
is sent again some 13 seconds after its first loss."""


def leg_times(profile: str) -> LegTimes | None:
    """Return the times of a profile of the configuration."""
    return NODES if profile == "kubernetes" else None


class Watched(Protocol):
    """What can be looked at."""

    def check(self, now: float) -> None: ...


class Stall:
    """Decides from what the kernel says of a path whether its data has stayed unacknowledged for too long.

    TCP_USER_TIMEOUT would do this too, but it also kills a peer that has merely stopped reading; and the age of the
    last acknowledgement alone says nothing about a connection that was idle until a moment ago.
    """

    __slots__ = ("_since", "_times")

    def __init__(self, times: LegTimes | None = None) -> None:
        self._since: float | None = None
        self._times = times

    def dead(self, path: PathState | None, now: float) -> bool:
        """Take one look at `path`; True when data has been unacknowledged for UNACKNOWLEDGED_LIMIT seconds, or is and
        nothing was heard for as long as `times` says."""
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
    """Decides whether somebody for whom only bytes and the end are left has taken none of them for too long: both
    directions are over, and one who never reads would hold a descriptor, and a target its leg, for ever."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left = -1
        self._since = 0.0

    def refused(self, left: int, now: float) -> bool:
        """Take one look at how many are left; True when these were as many for LAST_BYTES_LIMIT seconds."""
        if left != self._left:
            self._left, self._since = left, now
        return now - self._since >= LAST_BYTES_LIMIT


class PathWatch:
    """One per relay. Its timer runs only while there is something to look at."""

    def __init__(self, clock: IReactorTime) -> None:
        self.times: LegTimes | None = None
        """For legs to come."""
        self._clock = clock
        self._watched: dict[Watched, None] = {}
        self._left: list[Watched] = []  # of this round, for the next turns
        self._timer: IDelayedCall | None = None
        self._stopped = False

    @property
    def keepalive(self) -> tuple[int, int, int] | None:
        """What a new leg's keepalive is to be, None for the usual one."""
        return None if self.times is None else self.times.keepalive

    def add(self, watched: Watched) -> None:
        """Look at it from now on, until `remove`."""
        if not self._stopped:
            self._watched[watched] = None
            if self._timer is None:
                self._schedule()

    def remove(self, watched: Watched) -> None:
        """Look at it no more. Harmless when it was not looked at."""
        self._watched.pop(watched, None)

    def stop(self) -> None:
        """Look at nothing any more."""
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
        # Until the end of this turn the timer counts as running: what is looked at may add and remove.
        left = self._left or list(self._watched)
        now, self._left = self._clock.seconds(), left[SLICE:]
        try:
            for watched in left[:SLICE]:
                if watched in self._watched:
                    watched.check(now)
        finally:
            self._timer = None
            self._schedule()
