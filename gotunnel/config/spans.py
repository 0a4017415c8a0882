"""Lengths of time as people write them: `90d`, `48h`. For keys that are measured in days; keys measured in seconds take
numbers."""

from __future__ import annotations

import re

from gotunnel.config.kinds import Kind, text_of, wrong
from gotunnel.config.scalars import shown

__all__ = ["UNITS", "read_span", "span", "span_text"]

UNITS = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60}
"""Seconds of each unit."""
_SPAN = re.compile(r"([1-9][0-9]{0,6})([wdhm])")


def read_span(text: str) -> int | None:
    """Return its seconds; None if the text does not have this form."""
    found = _SPAN.fullmatch(text)
    return None if found is None else int(found[1]) * UNITS[found[2]]


def span_text(seconds: int) -> str:
    """Return the shortest text for it."""
    unit = next(unit for unit, size in UNITS.items() if not seconds % size)
    return f"{seconds // UNITS[unit]}{unit}"


def span(low: str, high: str) -> Kind:
    """Return the kind of a length of time, which becomes seconds."""
    least, most = read_span(low), read_span(high)
    assert least is not None and most is not None
    cure = f"write a number of days or hours from {low} to {high}, like 90d or 48h"

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value  # from a model, not from a file: a number in a file would be far smaller
        found = read_span(text_of(value, "a length of time", cure))
        if found is None:
            raise wrong(f"{shown(value)} is not a length of time", cure)
        if not least <= found <= most:
            raise wrong(f"{shown(value)} is not between {low} and {high}", cure)
        return found

    return Kind(f"{low} to {high}", read, span_text, {"type": "string"})
