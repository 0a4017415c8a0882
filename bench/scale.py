"""How much of everything a run does: the full one, the quick one, and the one of the tests."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace

from bench.figures import CROWDS, LEVELS, SOME

__all__ = ["FULL", "QUICK", "TINY", "Scale", "fit"]


@dataclass(frozen=True)
class Scale:
    """Counts of one round and one subject. `seconds` ends a measure of a slow subject early."""

    rounds: int
    round_trips: int
    round_trips_64: int
    """On each of the 64 connections."""
    connections: int
    connections_16: int
    bulk_bytes: int
    """In all, on one stream or on eight."""
    seconds: float
    idle_rounds: int
    idle_seconds: float
    starts: int
    memory_at: tuple[int, ...]
    cost_at: tuple[int, ...]
    cost_connections: int
    cost_batches: int
    watch_seconds: float


FULL = Scale(
    rounds=7, round_trips=3000, round_trips_64=100, connections=400, connections_16=480,
    bulk_bytes=384_000_000, seconds=6.0, idle_rounds=2, idle_seconds=30.0, starts=3,
    memory_at=CROWDS, cost_at=LEVELS, cost_connections=320, cost_batches=5, watch_seconds=5.0,
)  # fmt: skip

QUICK = Scale(
    rounds=3, round_trips=1000, round_trips_64=30, connections=150, connections_16=160,
    bulk_bytes=64_000_000, seconds=1.5, idle_rounds=1, idle_seconds=3.0, starts=1,
    memory_at=CROWDS[:1], cost_at=LEVELS[:3], cost_connections=160, cost_batches=1, watch_seconds=1.0,
)  # fmt: skip

TINY = Scale(
    rounds=1, round_trips=20, round_trips_64=2, connections=5, connections_16=16,
    bulk_bytes=800_000, seconds=5.0, idle_rounds=1, idle_seconds=0.1, starts=1,
    memory_at=(SOME,), cost_at=(10, SOME), cost_connections=16, cost_batches=1, watch_seconds=0.1,
)  # fmt: skip

_RESERVE = 500


def fit(scale: Scale) -> tuple[Scale, str]:
    """Raise this process's limit of open files, which its children inherit, and leave out what does not fit into it.

    A server holds two descriptors per tunnel. Returns what is left, and a line about it if it is less.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Not without end: some programs size a table by it.
    wanted = 20_000 if hard == resource.RLIM_INFINITY else min(hard, 20_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    most = max(*scale.memory_at, *scale.cost_at)
    room = (wanted - _RESERVE) // 2
    if most <= room:
        return scale, ""
    left = replace(
        scale,
        memory_at=tuple(count for count in scale.memory_at if count <= room),
        cost_at=tuple(count for count in scale.cost_at if count <= room),
    )
    return left, f"only {wanted} open files are allowed (ulimit -n): nothing is measured with {most:,} tunnels"
