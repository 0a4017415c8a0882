"""When a link tries to connect again: sooner where the server's successor is expected, later where somebody must change
something first. Sets no timer."""

from __future__ import annotations

from gotunnel.config.choices import Profile
from gotunnel.core.backoff import Backoff

__all__ = ["AUTH_PAUSE", "RESERVE", "SOON", "SUCCESSOR", "Pace"]

SUCCESSOR = 30.0
"""Seconds within which the successor of a server that stops is expected: at once, or when the time is over that it has
said it gives its visitors. In between, which may be hours, it is one server that is away like any other."""
SOON = 2.0
"""Seconds at most between attempts while it is."""
AUTH_PAUSE = 5.0
"""Seconds at least between attempts when the server does not let us in: somebody must change something first."""
RESERVE = 60.0
"""Seconds after which an address in reserve is tried all the same: it may lead to another server by now."""


class Pace:
    """One per link. Each method is told what has happened, at a time of a monotonic clock; those that end an attempt
    return the seconds until the next."""

    def __init__(self, profile: Profile) -> None:
        self.use(profile)
        self._lost_at = self._ends = -SUCCESSOR  # of a server that has said that it stops: when it left us, and ends

    def use(self, profile: Profile) -> None:
        """The file has another profile now, or the server is another one: begin anew."""
        self._profile = profile
        # A path that is given up for its silence was there for 15 s at least: for nodes the first attempt follows soon
        # then, whatever was before, or it could be 20 s until they are heard of again.
        self._backoff = Backoff(cap=5.0, stable_after=10.0) if profile == "kubernetes" else Backoff()

    def connected(self, now: float) -> None:
        """There is a session."""
        self._backoff.connected(now)

    def lost(self, now: float, stops_in: float | None, retry_after: float | None) -> float:
        """The session is gone. The server may have said that it stops in so many seconds, or when to come again."""
        self._backoff.lost(now)
        delay = self._backoff.failed(retry_after)
        if stops_in is None:
            return delay
        self._lost_at, self._ends = now, now + stops_in
        # Failures before that say nothing of a successor.
        return delay if retry_after is not None else min(delay, self._backoff.soon(SOON))

    def left(self) -> float:
        """It was left for another one, which is to be there at once."""
        self.use(self._profile)
        return self._backoff.soon(0.0)

    def not_reached(self, now: float) -> float:
        """There was no connection, or nobody who speaks as he should."""
        if any(0 <= now - moment < SUCCESSOR for moment in (self._lost_at, self._ends)):
            return self._backoff.soon(SOON)
        delay = self._backoff.failed()
        return min(delay, self._ends - now + self._backoff.soon(SOON)) if now < self._ends else delay

    def refused(self, retry_after: float | None = None) -> float:
        """The server does not let us in, or something is broken that does not mend itself."""
        return self._backoff.slow(AUTH_PAUSE, retry_after)
