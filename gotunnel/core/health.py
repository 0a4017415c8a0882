"""Whether a target counts as up, judged from the results of its probes. It probes nothing and reads no clock."""

from __future__ import annotations

__all__ = ["Health"]


class Health:
    """The verdict on one target.

    It is down after `failures` failed probes in a row, and up again after `successes` good ones in a row. The very
    first result counts at once: a target that is down when the client starts is down after its first probe. Until then
    it passes for up.
    """

    def __init__(self, failures: int, successes: int, down_since: float | None = None) -> None:
        """`down_since` is there when others have judged before that it is down. Raises ValueError for a number below 1.
        """
        if failures < 1 or successes < 1:
            raise ValueError(f"a verdict after {failures=}, {successes=}")
        self._failures = failures
        self._successes = successes
        self._against = 0  # results in a row that speak against the verdict
        self._judged = down_since is not None
        self._down_since = down_since

    @property
    def up(self) -> bool:
        """The verdict."""
        return self._down_since is None

    @property
    def down_since(self) -> float | None:
        """When it went down, None while it is up."""
        return self._down_since

    def failed(self, now: float) -> bool:
        """A probe has failed; return whether the target is down from now on."""
        enough = self._enough(not self.up, self._failures)
        if enough:
            self._down_since = now
        return enough

    def passed(self, now: float) -> float | None:
        """A probe was good; if the target is up again from now on, return for how many seconds it was down."""
        if not self._enough(self.up, self._successes):
            return None
        assert self._down_since is not None
        down, self._down_since = now - self._down_since, None
        return down

    def _enough(self, agrees: bool, needed: int) -> bool:
        """Count one result; say whether it turns the verdict."""
        first, self._judged = not self._judged, True
        self._against = 0 if agrees else self._against + 1
        if agrees or not (first or self._against >= needed):
            return False
        self._against = 0
        return True
