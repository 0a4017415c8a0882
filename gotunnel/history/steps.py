"""Into which pieces of time the past is cut, and how long each is kept: so that a file is bounded, and a year of it is
there all the same. Arithmetic on Unix seconds; a day is one of UTC."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DAY", "HOUR", "LEVELS", "MINUTE", "Level", "Range", "kept", "range_of"]

MINUTE, HOUR, DAY = 60, 3600, 86_400

PRECISE = 3 * HOUR
"""Seconds up to which a sum is told to the minute; what is longer begins at a full hour or day."""


@dataclass(frozen=True, slots=True)
class Level:
    """Pieces of `size` seconds, kept for `kept` seconds (None: as long as anything), in at most `rows` rows."""

    size: int
    kept: int | None
    rows: int


LEVELS = (Level(MINUTE, 2 * DAY, 200_000), Level(HOUR, 35 * DAY, 300_000), Level(DAY, None, 300_000))
"""From the finest. All of them are written at once: what the finest loses, a coarser one has already."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is to be read: rows of the level `size` from `since` up to `until`, told in steps of `step` seconds; 0: as
    one sum."""

    size: int
    since: int
    until: int
    step: int


def kept(level: Level, keep: int) -> int:
    """Return how many seconds this level goes back where `keep` is the most."""
    return keep if level.kept is None else min(level.kept, keep)


def range_of(since: float, until: float, step: int, now: float) -> Range:
    """Return what to read for this wish: the finest level that goes back far enough, or one that is fine enough for
    the step. The beginning is moved back to where a piece begins, and the step is as long as a piece at least."""
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
