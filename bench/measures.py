"""The measures of tunnels that run side by side: each takes one sample of one tunnel. A measure is a round trip, a new
connection, bulk or the first byte; what needs a fresh process is in `crowd`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import AT_ONCE
from bench.process import LoadProcess
from bench.scale import Scale
from bench.subject import Tunnel

__all__ = ["SIDE_BY_SIDE", "Sample", "connections", "first_byte"]

Sample = dict[str, float]
"""Figures by name."""
WARM_UP = 40
"""Connections ahead of a measure of connections, for each that is there at once. So many that the most legs that such
visitors ever need at once are there when the measure begins: one inside TLS costs as much as twenty visitors, and a few
that are made in its midst, in some rounds and not in others, would be what it tells."""


@dataclass
class _Cost:
    """CPU of a tunnel between two points at which it is at rest."""

    tunnel: Tunnel

    def __post_init__(self) -> None:
        self._before = self.tunnel.cpu()

    def ns(self) -> int:
        """Return the nanoseconds since this was made."""
        return self.tunnel.cpu() - self._before


def _round_trips(tunnel: Tunnel, load: LoadProcess, scale: Scale) -> Sample:
    load.ask("knock", port=tunnel.public, count=1, at_once=1, seconds=10, keep="work")
    try:
        load.ask("exchange", group="work", count=scale.round_trips // 10, size=64, seconds=1)
        cost = _Cost(tunnel)
        answer = load.ask("exchange", group="work", count=scale.round_trips, size=64, seconds=scale.seconds)
        used = cost.ns()
    finally:
        load.ask("leave", group="work")
    return {"round-trip": used / answer["done"] / 1e3, "round-trip-time": answer["median"] * 1e6}


def _round_trips_64(tunnel: Tunnel, load: LoadProcess, scale: Scale) -> Sample:
    load.ask("knock", port=tunnel.public, count=64, at_once=16, seconds=10, keep="work")
    try:
        load.ask("exchange", group="work", count=2, size=64, seconds=1)
        cost = _Cost(tunnel)
        answer = load.ask(
            "exchange", group="work", count=scale.round_trips_64, size=64, seconds=scale.seconds
        )
        used = cost.ns()
    finally:
        load.ask("leave", group="work")
    return {"round-trip-64": used / answer["done"] / 1e3}


def _connections(tunnel: Tunnel, load: LoadProcess, scale: Scale) -> Sample:
    used, answer = connections(tunnel, load, scale.connections, 1, scale.seconds)
    return {"connection": used, "connection-time": answer * 1e6}


def _connections_16(tunnel: Tunnel, load: LoadProcess, scale: Scale) -> Sample:
    return {"connection-16": connections(tunnel, load, scale.connections_16, AT_ONCE, scale.seconds)[0]}


def connections(
    tunnel: Tunnel, load: LoadProcess, count: int, at_once: int, seconds: float
) -> tuple[float, float]:
    """Make connections of one byte; return the microseconds of CPU and the seconds of time for each. What a tunnel
    keeps ready for so many at once is there before: `first-byte` says what one costs that comes without warning."""
    load.ask("knock", port=tunnel.public, count=WARM_UP * at_once, at_once=at_once, seconds=seconds)
    cost = _Cost(tunnel)
    answer = load.ask("knock", port=tunnel.public, count=count, at_once=at_once, seconds=seconds)
    return cost.ns() / answer["done"] / 1e3, answer["seconds"] / answer["done"]


def _bulk(tunnel: Tunnel, load: LoadProcess, scale: Scale) -> Sample:
    found = {}
    for direction in ("download", "upload"):
        for streams, suffix in ((1, ""), (8, "-8")):
            size = scale.bulk_bytes // streams
            load.ask(
                "knock", port=tunnel.public, count=streams, at_once=streams, seconds=10, keep="work",
                mode=direction[0].upper(),
            )  # fmt: skip
            try:
                load.ask(direction, group="work", size=size // 50)
                cost = _Cost(tunnel)
                answer = load.ask(direction, group="work", size=size)
                used = cost.ns()
            finally:
                load.ask("leave", group="work")
            found[f"{direction}{suffix}"] = used / answer["done"]
            found[f"{direction}{suffix}-rate"] = answer["done"] / answer["seconds"] / 1e6
    return found


def first_byte(tunnel: Tunnel, load: LoadProcess) -> Sample:
    """One new connection to a tunnel that nobody used for a while."""
    answer = load.ask("knock", port=tunnel.public, count=1, at_once=1, seconds=10)
    return {"first-byte": answer["first"] * 1e3}


SIDE_BY_SIDE: dict[str, Callable[[Tunnel, LoadProcess, Scale], Sample]] = {
    "round-trip": _round_trips,
    "round-trip-64": _round_trips_64,
    "connection": _connections,
    "connection-16": _connections_16,
    "bulk": _bulk,
}
"""By the name that `--only` takes."""
