"""Judges from probe results whether a target is up. Probes nothing and reads no clock."""

from __future__ import annotations

__all__ = ["Health"]


class Health:
    """The verdict on one target.

    It is down after `failures` failed probes in a row, and up after `successes` good ones in a row. The first result
    counts at once: a target that is down when the client starts is down after its first probe. Before that it is
    considered up.
    """

    def __init__(self, failures: int, successes: int, down_since: float | None = None) -> None:
        """`down_since` is set if the target is already known to be down. Raises ValueError for a number below 1."""
        if failures < 1 or successes < 1:
            raise ValueError(f"a verdict after {failures=}, {successes=}")
        self._failures = failures
        self._successes = successes
        self._against = 0  # consecutive results that contradict the verdict
        self._judged = down_since is not None
        self._down_since = down_since

    @property
    def up(self) -> bool:
        """Whether the target is considered up."""
        return self._down_since is None

    @property
    def down_since(self) -> float | None:
        """The time at which it went down, or None while it is up."""
        return self._down_since

    def failed(self, now: float) -> bool:
        """Record a failed probe; return whether the target goes down now."""
        enough = self._enough(not self.up, self._failures)
        if enough:
            self._down_since = now
        return enough

    def passed(self, now: float) -> float | None:
        """Record a good probe; if the target comes up now, return how many seconds it was down, otherwise None."""
        if not self._enough(self.up, self._successes):
            return None
        assert self._down_since is not None
        down, self._down_since = now - self._down_since, None
        return down

    def _enough(self, agrees: bool, needed: int) -> bool:
        """Count one result; return whether it reverses the verdict."""
        first, self._judged = not self._judged, True
        self._against = 0 if agrees else self._against + 1
        if agrees or not (first or self._against >= needed):
            return False
        self._against = 0
        return True
