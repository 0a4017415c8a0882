"""Decides when a link retries: sooner where the server's successor is expected, later where somebody must fix something
first. Sets no timers."""

from __future__ import annotations

from gotunnel.config.choices import Profile
from gotunnel.core.backoff import Backoff

__all__ = ["AUTH_PAUSE", "RESERVE", "SOON", "SUCCESSOR", "Pace"]

SUCCESSOR = 30.0
"""Seconds for which the successor of a stopping server is expected: from now, and again from the end of the time that
the server has announced for its visitors. In between, possibly for hours, the server counts as any other that is
away."""
SOON = 2.0
"""Maximum seconds between attempts while a successor is expected."""
AUTH_PAUSE = 5.0
"""Minimum seconds between attempts after the server has refused us: somebody must fix something first."""
RESERVE = 60.0
"""Seconds after which an address in reserve is tried again: it may lead to another server by now."""


class Pace:
    """The pace of one link. Each method reports an event at a time of a monotonic clock. Those that end an attempt
    return the seconds until the next."""

    def __init__(self, profile: Profile) -> None:
        self.use(profile)
        self._lost_at = self._ends = -SUCCESSOR  # of a stopping server: when its session was lost, and when it ends

    def use(self, profile: Profile) -> None:
        """Start over, because the profile or the server has changed."""
        self._profile = profile
        # A path given up for its silence has existed for at least 15 s. For nodes the first attempt then follows soon,
        # whatever happened before; otherwise it could take 20 s until they are heard from again.
        self._backoff = Backoff(cap=5.0, stable_after=10.0) if profile == "kubernetes" else Backoff()

    def connected(self, now: float) -> None:
        """A session has begun."""
        self._backoff.connected(now)

    def lost(self, now: float, stops_in: float | None, retry_after: float | None) -> float:
        """The session is lost. The server may have announced that it stops in `stops_in` seconds, or when to retry."""
        self._backoff.lost(now)
        delay = self._backoff.failed(retry_after)
        if stops_in is None:
            return delay
        self._lost_at, self._ends = now, now + stops_in
        # Earlier failures say nothing about a successor.
        return delay if retry_after is not None else min(delay, self._backoff.soon(SOON))

    def left(self) -> float:
        """The session was ended in favour of another server, which should be there at once."""
        self.use(self._profile)
        return self._backoff.soon(0.0)

    def not_reached(self, now: float) -> float:
        """The attempt did not reach a server, or not one that follows the protocol."""
        if any(0 <= now - moment < SUCCESSOR for moment in (self._lost_at, self._ends)):
            return self._backoff.soon(SOON)
        delay = self._backoff.failed()
        return min(delay, self._ends - now + self._backoff.soon(SOON)) if now < self._ends else delay

    def refused(self, retry_after: float | None = None) -> float:
        """The server has refused us, or something is broken that does not fix itself."""
        return self._backoff.slow(AUTH_PAUSE, retry_after)
