"""When a link tries to connect again: sooner where the server's successor is expected, later where somebody must change
something first. Sets no timer."""

from __future__ import annotations

from gotunnel.config.choices import Profile
from gotunnel.core.backoff import Backoff

__all__ = ["AUTH_PAUSE", "RESERVE", "SOON", "SUCCESSOR", "Pace"]

SUCCESSOR = 30.0
"""Seconds, behind the time that a server has said it gives its visitors, within which its successor is expected."""
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
        self._soon_until = 0.0  # the server has said that it stops: until then its successor may be there any moment

    def use(self, profile: Profile) -> None:
        """The file has another profile now, or the server is another one: begin anew."""
        self._profile = profile
        self._backoff = Backoff(cap=5.0) if profile == "kubernetes" else Backoff()

    def connected(self, now: float) -> None:
        """There is a session."""
        self._backoff.connected(now)

    def lost(self, now: float, stops_in: float | None, retry_after: float | None) -> float:
        """The session is gone. The server may have said that it stops in so many seconds, or when to come again."""
        self._backoff.lost(now)
        delay = self._backoff.failed(retry_after)
        if stops_in is None:
            return delay
        self._soon_until = now + stops_in + SUCCESSOR
        # Failures before that say nothing of a successor.
        return delay if retry_after is not None else min(delay, self._backoff.soon(SOON))

    def left(self) -> float:
        """It was left for another one, which is to be there at once."""
        self.use(self._profile)
        return self._backoff.soon(0.0)

    def not_reached(self, now: float) -> float:
        """There was no connection, or nobody who speaks as he should."""
        if now < self._soon_until:
            return self._backoff.soon(SOON)
        return self._backoff.failed()

    def refused(self, retry_after: float | None = None) -> float:
        """The server does not let us in, or something is broken that does not mend itself."""
        return self._backoff.slow(AUTH_PAUSE, retry_after)
