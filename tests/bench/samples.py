"""A report with figures that are easy to check by hand."""

from __future__ import annotations

from bench.report import Report, Tested

__all__ = ["report"]


def report() -> Report:
    """Return three subjects and two rounds; the machine was twice as slow in the second."""
    made = Report("python -m bench", "2026-01-02 03:04 UTC", "full", {"processor": "2 × <fast> & old"})
    made.tested = [
        Tested("naive", "naive pair, plain", "1.0"),
        Tested("tls", "gotunnel, TLS legs", "2.0"),
        Tested("plain", "gotunnel, plain legs", "2.0"),
    ]
    for slower in (1, 2):
        made.add("naive", {"round-trip": 400.0 * slower, "download-rate": 100.0 / slower})
        made.add("tls", {"round-trip": 300.0 * slower, "download-rate": 50.0 / slower})
        made.add("plain", {"round-trip": 260.0 * slower, "download-rate": 200.0 / slower})
    for name, value in (("naive", 40.0), ("tls", 61.0), ("plain", 63.0)):
        made.add(name, {"rest-server": value})
        made.add(name, {f"growth-{level}": value * 10 for level in (10, 100, 1000, 5000)})
    return made
