"""The pieces of time in which the past is stored, and how long each is kept, so that a file is bounded and still covers
a year. Arithmetic on Unix seconds; days are UTC."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DAY", "HOUR", "LEVELS", "MINUTE", "Level", "Range", "kept", "range_of"]

MINUTE, HOUR, DAY = 60, 3600, 86_400

PRECISE = 3 * HOUR
"""Seconds up to which a sum is exact to the minute; a longer one begins at a full hour or day."""


@dataclass(frozen=True, slots=True)
class Level:
    """Pieces of `size` seconds, kept for `kept` seconds (None: for as long as the configuration says), in at most
    `rows` rows."""

    size: int
    kept: int | None
    rows: int


LEVELS = (Level(MINUTE, 2 * DAY, 200_000), Level(HOUR, 35 * DAY, 300_000), Level(DAY, None, 300_000))
"""From the finest. All are written at the same time, so a coarser level already has what a finer one drops."""


@dataclass(frozen=True, slots=True)
class Range:
    """What to read: rows of the level `size` from `since` up to `until`, in steps of `step` seconds; 0 means one
    sum."""

    size: int
    since: int
    until: int
    step: int


def kept(level: Level, keep: int) -> int:
    """Return for how many seconds this level is kept if `keep` is the maximum."""
    return keep if level.kept is None else min(level.kept, keep)


def range_of(since: float, until: float, step: int, now: float) -> Range:
    """Return what to read: from the finest level that goes back far enough, or from one that is fine enough for the
    step. The beginning is moved back to the beginning of a piece, and the step is at least one piece."""
    fit = [level for level in LEVELS if level.kept is None or since >= now - level.kept]
    if step:
        fitting = [level for level in fit if level.size <= step and not step % level.size]
        size = fitting[-1].size if fitting else fit[0].size
        step = max(step, size)
        if step % size:
            step += size - step % size
    else:
        size = next((level.size for level in fit if level.size > MINUTE or until - since <= PRECISE), DAY)
    begin = int(since) - int(since) % (step or size)
    return Range(size, begin, int(until), step)
