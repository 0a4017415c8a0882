"""Figures for users: times, bytes, states. Texts with words in them are Sentences, because only the code that prints
them knows the language."""

from __future__ import annotations

from collections.abc import Callable

from gotunnel.errors import Sentence

__all__ = ["COLOURS", "STATES", "bytes_of", "seconds_of", "since", "visitors_of"]

COLOURS = {
    "connected": "green", "open": "green", "waiting": "yellow", "connecting": "yellow", "draining": "yellow",
    "pending": "yellow", "away": "yellow", "down": "red", "refused": "red", "failed": "red", "warn": "yellow",
    "error": "red", "critical": "red", "off": "yellow",
}  # fmt: skip
"""Colours of the API's words."""
STATES = (
    "connected", "open", "waiting", "connecting", "draining", "pending", "away", "down", "refused", "failed", "off",
    "dialling", "ready", "not ready",
)  # fmt: skip
"""The states of a session, a mapping, a visitor or a process."""

_UNITS: dict[int, Callable[[int], Sentence]] = {
    86400: lambda count: Sentence("{count} d", count=count),
    3600: lambda count: Sentence("{count} h", count=count),
    60: lambda count: Sentence("{count} min", count=count),
    1: lambda count: Sentence("{count} s", count=count),
}


def since(seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return ""
    whole = int(seconds)
    for size, smaller in ((86400, 3600), (3600, 60), (60, 1)):
        if whole >= size:
            rest = whole % size // smaller
            large = _UNITS[size](whole // size)
            return Sentence.joined(" ", (large, _UNITS[smaller](rest))) if rest else large
    return _UNITS[1](whole)


def seconds_of(seconds: float | None) -> str:
    """Return a short time, in milliseconds below one second."""
    if seconds is None:
        return ""
    if seconds >= 1:
        return Sentence("{seconds:.1f} s", seconds=seconds)
    return Sentence("{milliseconds:.3g} ms", milliseconds=seconds * 1000)


def visitors_of(count: int) -> Sentence:
    """Return a number of visitors in words."""
    return Sentence("{count} visitor", count=count) if count == 1 else Sentence("{count} visitors", count=count)


def bytes_of(count: float | None) -> str:
    """Return a number of bytes in a suitable unit."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"
