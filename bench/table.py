"""A report as text for a terminal: absolute figures, ratios to the naive pair, and the limits with a mark."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import BASELINE, FIGURES
from bench.report import Report, Verdict

__all__ = ["BLOCKS", "columns", "limits", "shown", "tables"]

BLOCKS: dict[str, tuple[str, ...]] = {
    "CPU of the tunnel, µs each": ("round-trip", "round-trip-64", "connection", "connection-16"),
    "CPU of the tunnel, seconds per GB": ("download", "download-8", "upload", "upload-8"),
    "What a visitor notices": ("round-trip-time", "connection-time", "first-byte"),
    "Throughput, MB/s": ("download-rate", "download-8-rate", "upload-rate", "upload-8-rate"),
    "Start and memory of each role": ("start-server", "start-client", "rest-server", "rest-client"),
    "Memory for an idle tunnel, KiB": (
        "memory-500-server", "memory-500-client", "memory-5000-server", "memory-5000-client",
    ),
    "New connection, 16 at once, while others are open, µs CPU": (
        "growth-10", "growth-100", "growth-1000", "growth-5000", "growth", "idle-cpu",
    ),
}  # fmt: skip
"""Titles, and figures side by side."""

_HEADS = {
    "round-trip": "round trip", "round-trip-64": "64 at once", "connection": "connection",
    "connection-16": "16 at once", "round-trip-time": "round trip, µs", "connection-time": "connection, µs",
    "first-byte": "after idle, ms", "start-server": "server up, s", "start-client": "client up, s",
    "rest-server": "server, MiB", "rest-client": "client, MiB", "growth-10": "at 10", "growth-100": "at 100",
    "growth-1000": "at 1,000", "growth-5000": "at 5,000", "growth": "most/100", "idle-cpu": "idle, % core",
    "memory-500-server": "server, 500", "memory-500-client": "client, 500",
    "memory-5000-server": "server, 5,000", "memory-5000-client": "client, 5,000",
}  # fmt: skip

_NO_RATIO = ("growth", "idle-cpu", "start-server", "start-client", "rest-server", "rest-client")


def tables(report: Report) -> str:
    """Return every block of which the run has figures."""
    parts = []
    for title, names in BLOCKS.items():
        present = [name for name in names if name in report.samples]
        if present:
            parts.append(_block(report, title, present))
    return "\n".join(parts)


def _block(report: Report, title: str, names: Sequence[str]) -> str:
    rows = [["", *(_HEADS.get(name, FIGURES[name].title.removesuffix(" streams")) for name in names)]]
    for subject in report.subjects_with(names):
        row = [subject.label]
        for name in names:
            ratio = None if name in _NO_RATIO else report.ratio(name, subject.name)
            text = shown(report.middle(name, subject.name), FIGURES[name].digits)
            row.append(text + ("" if ratio is None else f" {ratio:6.2f}"))
        rows.append(row)
    note = " (median; beside it the ratio to the naive pair)" if any(n not in _NO_RATIO for n in names) else ""
    return f"{title}{note}\n{columns(rows)}\n"


def shown(value: float | None, digits: int) -> str:
    """Return a number as the tables have it; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align: the first column to the left, all others to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  " + "  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


def limits(report: Report) -> str:
    """Return what gotunnel must reach, and whether it did; nothing when it was not measured."""
    verdicts = report.verdicts()
    if not verdicts:
        return ""
    rows = [["", "plain", "limit", "", "TLS", "limit", ""]]
    by_figure: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_figure.setdefault(verdict.figure, []).append(verdict)
    for name, pair in by_figure.items():
        figure = FIGURES[name]
        unit = f"ratio to {BASELINE}" if pair[0].ratio else figure.unit
        row = [f"{figure.title}, {unit}"]
        for verdict in pair:
            digits = 2 if verdict.ratio or figure.digits == 2 else 1
            mark = {True: "met", False: "NOT MET", None: "?"}[verdict.met]
            row += [shown(verdict.value, digits), f"≤ {shown(verdict.limit, digits)}", mark]
        rows.append(row)
    failed = sum(verdict.met is False for verdict in verdicts)
    counted = sum(verdict.met is not None for verdict in verdicts)
    return f"Limits: {counted - failed} of {counted} met\n{columns(rows)}\n"
