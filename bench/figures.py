"""The figures that there are: their names, units and limits. What the tables, the picture and the tests agree on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AT_ONCE", "BASELINE", "CROWDS", "FIGURES", "LEVELS", "LIMITS", "SOME", "Figure", "Limit"]

BASELINE = "naive"
"""The subject that is 1.00."""

LEVELS = (10, 100, 1000, 5000)
"""Open tunnels at which the cost of one more connection is measured."""

CROWDS = (500, 5000)
"""Open tunnels at which memory is read."""

SOME = 20
"""A crowd for trying out whether everything runs."""

AT_ONCE = 16
"""Connections that are made together for `connection-16` and for what they cost while others are open. One after the
other each of them finds a processor that has just fallen asleep, or one that has not, which alone can double what it
costs: two such figures say nothing about growth."""


@dataclass(frozen=True)
class Figure:
    """One number per subject and round. Less is better, except for rates."""

    name: str
    title: str
    unit: str
    measure: str
    digits: int = 0
    more_is_better: bool = False


@dataclass(frozen=True)
class Limit:
    """What gotunnel must reach: for a figure itself, or as a ratio to the baseline in the same run."""

    figure: str
    plain: float
    tls: float
    ratio: bool


_CPU = [
    Figure("round-trip", "round trip of 64 bytes", "µs CPU", "round-trip"),
    Figure("round-trip-64", "the same, 64 at once", "µs CPU", "round-trip-64"),
    Figure("connection", "new connection, 1 byte", "µs CPU", "connection"),
    Figure("connection-16", "the same, 16 at once", "µs CPU", "connection-16"),
    Figure("download", "download", "CPU-s/GB", "bulk", 2),
    Figure("download-8", "download, 8 streams", "CPU-s/GB", "bulk", 2),
    Figure("upload", "upload", "CPU-s/GB", "bulk", 2),
    Figure("upload-8", "upload, 8 streams", "CPU-s/GB", "bulk", 2),
]
_WALL = [
    Figure("round-trip-time", "round trip", "µs", "round-trip"),
    Figure("connection-time", "connection", "µs", "connection"),
    Figure("first-byte", "first byte after idle", "ms", "first-byte", 1),
    Figure("download-rate", "download", "MB/s", "bulk", more_is_better=True),
    Figure("download-8-rate", "download, 8", "MB/s", "bulk", more_is_better=True),
    Figure("upload-rate", "upload", "MB/s", "bulk", more_is_better=True),
    Figure("upload-8-rate", "upload, 8", "MB/s", "bulk", more_is_better=True),
]
_ROLES = [
    Figure("start-server", "server up after", "s", "start", 2),
    Figure("start-client", "client up after", "s", "start", 2),
    Figure("rest-server", "server at rest", "MiB", "crowd", 1),
    Figure("rest-client", "client at rest", "MiB", "crowd", 1),
]
_CROWD = [
    Figure(f"memory-{count}-{role}", f"{role}, per tunnel at {count:,}", "KiB", "crowd", 1)
    for count in (SOME, *CROWDS)
    for role in ("server", "client")
]
_GROWTH = [
    *(Figure(f"growth-{level}", f"16 at once at {level:,} open", "µs CPU", "crowd") for level in (*LEVELS, SOME)),
    Figure("growth", "most open against 100", "ratio", "crowd", 2),
    Figure("idle-cpu", "CPU with all of them idle", "% of a core", "crowd", 1),
]

FIGURES = {each.name: each for each in (*_CPU, *_WALL, *_ROLES, *_CROWD, *_GROWTH)}

_BULK = ("download", "download-8", "upload", "upload-8")

LIMITS = [
    Limit("round-trip", 0.60, 1.00, ratio=True),
    Limit("round-trip-64", 0.45, 0.75, ratio=True),
    Limit("connection", 0.35, 0.50, ratio=True),
    Limit("connection-16", 0.28, 0.45, ratio=True),
    *(Limit(name, 0.35, 1.05, ratio=True) for name in _BULK),
    *(Limit(f"memory-{count}-{role}", 12, 48, ratio=False) for count in CROWDS for role in ("server", "client")),
    *(Limit(f"rest-{role}", 62, 62, ratio=False) for role in ("server", "client")),
    *(Limit(f"start-{role}", 1.0, 1.0, ratio=False) for role in ("server", "client")),
    Limit("idle-cpu", 3.0, 3.0, ratio=False),
    Limit("growth", 1.2, 1.2, ratio=False),
]
"""Set for gotunnel with the relay that it takes by itself; the columns are the subjects `plain` and `tls`."""
