"""How figures look to a person: times, bytes, states. Pure text."""

from __future__ import annotations

__all__ = ["COLOURS", "bytes_of", "seconds_of", "since"]

COLOURS = {
    "connected": "green", "open": "green", "waiting": "yellow", "connecting": "yellow", "draining": "yellow",
    "pending": "yellow", "away": "yellow", "down": "red", "refused": "red", "failed": "red", "warn": "yellow",
    "error": "red", "critical": "red", "off": "yellow",
}  # fmt: skip
"""Of the words of the API."""


def since(seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return ""
    whole = int(seconds)
    for size, unit, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def seconds_of(seconds: float | None) -> str:
    """Return a short time, in milliseconds where that reads better."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def bytes_of(count: float | None) -> str:
    """Return a number of bytes in the unit that fits."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"
