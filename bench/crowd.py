"""The measures that need a tunnel of their own, fresh and alone: start-up, memory, and cost while many are open."""

from __future__ import annotations

import time
from statistics import median

from bench.cpu import cpu_ns
from bench.figures import AT_ONCE
from bench.measures import Sample, connections
from bench.process import LoadProcess
from bench.scale import Scale
from bench.subject import Tunnel

__all__ = ["crowd", "started"]

_WARM = 64
_BASE = 100
"""Growth is told against the cost with so many open tunnels."""


def started(tunnel: Tunnel) -> Sample:
    """What its start took."""
    return {f"start-{role}": seconds for role, seconds in tunnel.started.items()}


def crowd(tunnel: Tunnel, load: LoadProcess, scale: Scale) -> Sample:
    """Open tunnels step by step and leave them idle; on the way read memory and the cost of one connection more."""
    found: Sample = {}
    for role in tunnel.running:
        found[f"rest-{role}"] = tunnel.rss(role) / 2**20
    # What the first visitors bring into memory once is no cost of each tunnel.
    load.ask("knock", port=tunnel.public, count=_WARM, at_once=16, seconds=10)
    tunnel.cpu()
    warm = {role: tunnel.rss(role) for role in tunnel.running}
    is_open = 0
    try:
        for level in sorted({*scale.memory_at, *scale.cost_at}):
            load.ask(
                "knock", timeout=200, port=tunnel.public, count=level - is_open, at_once=32, seconds=150,
                keep="crowd",
            )  # fmt: skip
            is_open = level
            tunnel.cpu()
            if level in scale.memory_at:
                for role in tunnel.running:
                    found[f"memory-{level}-{role}"] = (tunnel.rss(role) - warm[role]) / level / 1024
            if level in scale.cost_at:
                found[f"growth-{level}"] = median(
                    connections(tunnel, load, scale.cost_connections, AT_ONCE, scale.seconds)[0]
                    for _ in range(scale.cost_batches)
                )
        found["idle-cpu"] = _idle(tunnel, scale.watch_seconds)
    finally:
        load.ask("leave", group="crowd")
    base = found.get(f"growth-{_BASE}")
    highest = max(scale.cost_at, default=0)
    if base and highest > _BASE:
        found["growth"] = found[f"growth-{highest}"] / base
    return found


def _idle(tunnel: Tunnel, seconds: float) -> float:
    """Return the CPU of a tunnel that nobody uses, in percent of one core."""
    tunnel.cpu()
    pids = tunnel.pids()
    before, began = cpu_ns(pids), time.monotonic()
    time.sleep(seconds)
    return (cpu_ns(pids) - before) / (time.monotonic() - began) / 1e7
