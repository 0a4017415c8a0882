"""The metrics for Prometheus, made from a role's counters at each scrape, so that they cost nothing in between. No
label has a value that a stranger can choose: a client has a label only if the configuration names it."""

from __future__ import annotations

import platform
import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import twisted
from gotunnel import __version__
from gotunnel.core.dropped import Drop
from gotunnel.core.histogram import Histogram
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import MappingState, SessionState
from gotunnel.net.descriptors import nofile, used

if TYPE_CHECKING:
    from gotunnel.admin.api import Api

__all__ = ["MOST_PEERS", "RoleCollector", "exposition"]

MOST_PEERS = 500
"""The largest number of other ends with a label of their own. The configuration may name more; those have none."""


def exposition(api: Api, accept: str) -> tuple[str, bytes]:
    """Return the content type and the text for one scrape."""
    encode, kind = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RoleCollector(api))
    observers = api.face.usage.observers
    for collector in () if observers is None else observers.collectors:
        told = _Told(collector.collect())
        try:
            encode(told)  # an observer's invalid metric must not spoil all others
        except Exception:  # noqa: BLE001 - an observer may return anything
            collector.failed()
        else:
            registry.register(told)
    return kind, encode(registry)


class _Told(Collector):
    """The metrics of an observer."""

    def __init__(self, metrics: list[Any]) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Called by the registry when this is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics


class RoleCollector(Collector):
    """Reads one role."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._face = api.face

    def describe(self) -> Iterable[Metric]:
        """Called by the registry when this is registered. The names come with each scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield InfoMetricFamily("gotunnel_build", "Versions used by this process.", {
            "version": __version__, "role": self._face.role, "relay": self._face.relay,
            "python": platform.python_version(), "twisted": twisted.__version__,
        })  # fmt: skip
        yield from self._process()
        yield from self._health()
        yield from self._sessions()
        yield from self._streams()
        yield from self._legs()

    def _process(self) -> Iterator[Metric]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield _counter("process_cpu_seconds", "CPU time, in seconds.", usage.ru_utime + usage.ru_stime)
        began = time.time() - self._face.age
        yield _gauge("process_start_time_seconds", "When the role was started, in Unix seconds.", began)
        memory = _resident()
        if memory is not None:
            yield _gauge("process_resident_memory_bytes", "Resident memory.", memory)
        count, limit = used(), nofile()
        if count is not None:
            yield _gauge("process_open_fds", "File descriptors that are open.", count)
            left = max(0, limit - count)
            yield _gauge("gotunnel_descriptors_left", "File descriptors that may still be opened.", left)
        yield _gauge("process_max_fds", "File descriptors that may be open.", limit)
        scarce = self._face.descriptors.scarce
        yield _gauge(
            "gotunnel_descriptors_scarce",
            "1 while descriptors are short, and for half a minute afterwards.",
            scarce,
        )
        lag = self._api.lag.longest
        yield _gauge("gotunnel_reactor_lag_seconds", "Longest delay of the event loop within half a minute.", lag)

    def _health(self) -> Iterator[Metric]:
        ready = all(each.ok for each in self._api.ready())
        yield _gauge("gotunnel_ready", "1 if /readyz answers that the process is ready.", ready)
        yield _gauge("gotunnel_draining", "1 while and after the process drains.", self._face.draining)

    def _sessions(self) -> Iterator[Metric]:
        sessions = Counter(view.state for view in self._face.sessions())
        yield _by("gotunnel_sessions", "Peers by state.", "state", sessions, SessionState)
        mappings = Counter((view.kind, view.state) for view in self._face.mappings())
        family = GaugeMetricFamily("gotunnel_mappings", "Mappings, forwards and egress sockets, by state.",
                                   labels=("kind", "state"))  # fmt: skip
        for kind in ("mapping", "forward", "egress"):
            for state in MappingState:
                family.add_metric((kind, state.value), mappings[kind, state])
        yield family
        up = GaugeMetricFamily("gotunnel_peer_connected", "1 if this peer, which the configuration names, is "
                                                          "connected and answers pings.", labels=("peer",))  # fmt: skip
        named = dict(list(self._face.expected())[:MOST_PEERS])
        for peer, connected in named.items():
            up.add_metric((peer,), connected)
        yield up
        words = "The last ping's round trip."
        trip = GaugeMetricFamily("gotunnel_heartbeat_round_trip_seconds", words, labels=("peer",))
        trips, ages = [], []
        for peer, seconds, age in self._face.round_trips():
            ages.append(age)
            if seconds is not None:
                trips.append(seconds)
                if peer in named:
                    trip.add_metric((peer,), seconds)
        yield trip
        yield _gauge("gotunnel_heartbeat_round_trip_max_seconds", "The longest of all.", max(trips, default=0.0))
        yield _gauge("gotunnel_heartbeat_age_max_seconds", "Age of the oldest last pong.", max(ages, default=0.0))
        refused = CounterMetricFamily("gotunnel_authentication_failures", "Logins that failed.", labels=("code",))
        for code in sorted({"auth_failed", "protocol_error", *self._face.usage.refused}):
            refused.add_metric((code,), self._face.usage.refused[code])
        yield refused

    def _streams(self) -> Iterator[Metric]:
        usage = self._face.usage
        yield _counter("gotunnel_streams_opened", "Visitors since the start.", usage.opened)
        yield _gauge("gotunnel_streams_live", "Visitors that are here now: opened minus closed.", usage.live)
        closed = CounterMetricFamily("gotunnel_streams_closed", "Visitors that have ended.", labels=("outcome",))
        for outcome in Outcome:
            closed.add_metric((outcome.value,), usage.outcomes[outcome])
        yield closed
        yield _gauge("gotunnel_visitors_pending", "Visitors waiting for a leg.", self._face.pending)
        words = "Bytes of visitors, to targets (up) and back."
        bytes_ = CounterMetricFamily("gotunnel_bytes", words, labels=("direction",))
        for direction, count in zip(("up", "down"), self._face.carried(), strict=True):
            bytes_.add_metric((direction,), count)
        yield bytes_
        dropped = CounterMetricFamily("gotunnel_datagrams_dropped", "Datagrams that were dropped, by reason.",
                                      labels=("reason",))  # fmt: skip
        for reason in Drop:
            dropped.add_metric((reason.value,), usage.dropped[reason])
        yield dropped
        yield _histogram("gotunnel_dial_seconds", "Dials of targets by this end.", usage.dial)
        yield _histogram(
            "gotunnel_answer_seconds", "Time from a request on a leg to the target's answer, dialled at the other "
                                       "end.",
            usage.answer,
        )  # fmt: skip
        yield _histogram(
            "gotunnel_first_byte_seconds", "Time from a visitor's arrival to the first byte sent to it.",
            usage.first_byte
        )

    def _legs(self) -> Iterator[Metric]:
        legs = self._face.legs()
        family = GaugeMetricFamily("gotunnel_legs", "Legs by state.", labels=("state",))
        for state, count in (("idle", legs.idle), ("busy", legs.busy), ("requested", legs.requested)):
            family.add_metric((state,), count)
        yield family
        usage = self._face.usage
        yield _counter("gotunnel_legs_created", "Legs that were made.", usage.legs_created)
        yield _counter("gotunnel_legs_reused", "Visitors whose leg had served another one before.", usage.legs_reused)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=float(value))


def _by(name: str, text: str, label: str, counts: Counter[SessionState], words: type[SessionState]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for word in words:
        family.add_metric((word.value,), counts[word])
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, text, buckets=histogram.cumulated, sum_value=histogram.total)


def _resident() -> int | None:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return None
