"""Observers: receive the events of each visitor."""

from __future__ import annotations

from gotunnel.config.observeroptions import LogOptions, UsageObserverOptions
from gotunnel.interfaces import IStreamObserver
from gotunnel.plugin import Plugin

__all__ = ["log", "metrics", "usage"]

log = Plugin(
    IStreamObserver,
    "log",
    "gotunnel.net.observers.LogObserver",
    options=LogOptions,
    summary="writes a line of JSON for each visitor into a file of its own",
    check="gotunnel.net.observers.check_log",
)
metrics = Plugin(
    IStreamObserver,
    "metrics",
    "gotunnel.net.observers.MetricsObserver",
    summary="adds histograms of visitors' times and bytes, by outcome, to /metrics",
)
usage = Plugin(
    IStreamObserver,
    "usage",
    "gotunnel.history.observer.UsageObserver",
    options=UsageObserverOptions,
    summary="keeps an additional history of traffic, in an SQLite file of its own",
)
