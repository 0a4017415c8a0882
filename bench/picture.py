"""A report as a picture: bars for what a tunnel costs, a curve for what it costs while many are open."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from functools import partial

from bench.figures import BASELINE, CROWDS, FIGURES, LEVELS, LIMITS
from bench.report import Report, versions_of
from bench.svg import Canvas
from bench.table import shown

__all__ = ["picture"]

_COLOURS = {
    "tls": "#0969da", "plain": "#54aeff", "tls-portable": "#8250df", "plain-portable": "#c297ff",
    "tls-fast": "#0a3069", "plain-fast": "#80ccff",
    BASELINE: "#57606a", "openssh": "#bf8700", "haproxy": "#2da44e", "rathole": "#cf222e",
    "frp": "#e85aad", "chisel": "#7d4e00", "go-gotunnel": "#1b7c83",
}  # fmt: skip
_OTHER = "#8c959f"
_QUIET = "#59636e"
_GRID = "#d1d9e0"

_WIDTH, _EDGE, _GAP = 1040, 24, 32
_PANEL = (_WIDTH - 2 * _EDGE - _GAP) / 2
_LABELS, _VALUES = 178, 92
_STEP, _THICK = 20, 13
_CHART = 190

_Bars = tuple[str, str]
"""Figure and title of a panel."""


def picture(report: Report) -> str:
    """Return an SVG document. A panel whose figure the run did not take is left out."""
    canvas = Canvas("What tunnels cost")
    y = _head(canvas, report)
    panels: list[Callable[[float, float], float]] = [
        partial(_bars, canvas, report, bars) for bars in _panels(report)
    ]
    if any(f"growth-{level}" in report.samples for level in LEVELS):
        panels.append(partial(_growth, canvas, report))
    for index in range(0, len(panels), 2):
        row = panels[index : index + 2]
        y = max(panel(_EDGE + column * (_PANEL + _GAP), y) for column, panel in enumerate(row)) + 22
    return canvas.finish(_WIDTH, y)


def _panels(report: Report) -> list[_Bars]:
    cpu = "CPU of the tunnel, all its processes"
    memory = [count for count in CROWDS if f"memory-{count}-server" in report.samples]
    wanted = [
        ("round-trip", f"64-byte round trip, µs: {cpu}"),
        ("round-trip-64", "the same, 64 connections at once, µs"),
        ("connection", "new connection with one byte, µs"),
        ("connection-16", "the same, 16 at once, µs"),
        ("download", "bulk download, CPU seconds per GB"),
        ("upload", "bulk upload, CPU seconds per GB"),
        *((f"memory-{count}-server", f"server memory per idle tunnel at {count:,}, KiB") for count in memory[-1:]),
        ("rest-server", "server at rest, MiB"),
        ("first-byte", "first byte of a new connection after idle, ms"),
    ]
    return [each for each in wanted if each[0] in report.samples]


def _head(canvas: Canvas, report: Report) -> float:
    canvas.text(_EDGE, 38, "What tunnels cost", size=22, bold=True)
    versions = ", ".join(versions_of(report))
    lines = [
        f"{report.date} · {', '.join(report.machine.values())} · others used {report.others:.0f} % meanwhile",
        *textwrap.wrap(versions, 150),
        f"{report.command} · medians; × is the ratio to the naive pair in the same round; a stroke is gotunnel's limit",
    ]
    for index, line in enumerate(lines):
        canvas.text(_EDGE, 60 + 17 * index, line, colour=_QUIET)
    return 60 + 17 * len(lines) + 14


def _bars(canvas: Canvas, report: Report, chosen: _Bars, x: float, top: float) -> float:
    name, title = chosen
    figure = FIGURES[name]
    canvas.text(x, top + 12, title, size=13, bold=True)
    rows = [(each, report.middle(name, each.name)) for each in report.subjects_with([name])]
    highest = max((value for _, value in rows if value is not None), default=0.0) or 1.0
    room = _PANEL - _LABELS - _VALUES
    y = top + 24
    for subject, value in rows:
        if value is None:
            continue
        ratio = report.ratio(name, subject.name)
        beside = shown(value, figure.digits) + ("" if ratio is None else f" · {ratio:.2f}×")
        colour = _COLOURS.get(subject.name, _OTHER)
        canvas.text(x, y + 11, subject.label, bold=subject.name in ("tls", "plain"), size=11)
        canvas.bar(x + _LABELS, y, value / highest * room, _THICK, colour, f"{subject.label}: {beside}")
        end = value
        limit = _limit(report, name, subject.name)
        if limit is not None and limit <= highest:
            end = max(value, limit)
            at = x + _LABELS + limit / highest * room
            canvas.line([(at, y - 3), (at, y + _THICK + 3)], "#1f2328", 1.5)
        canvas.text(x + _LABELS + end / highest * room + 5, y + 11, beside, size=11, colour=_QUIET)
        y += _STEP
    return y


def _limit(report: Report, name: str, subject: str) -> float | None:
    for limit in LIMITS:
        if limit.figure == name and subject in ("plain", "tls"):
            allowed = limit.plain if subject == "plain" else limit.tls
            base = report.middle(name, BASELINE) if limit.ratio else 1.0
            return None if base is None else allowed * base
    return None


def _growth(canvas: Canvas, report: Report, x: float, top: float) -> float:
    title = "new connection, 16 at once, while others are open, µs CPU (log scale)"
    canvas.text(x, top + 12, title, size=13, bold=True)
    names = [f"growth-{level}" for level in LEVELS]
    rows = {
        each.name: [(level, report.middle(f"growth-{level}", each.name)) for level in LEVELS]
        for each in report.subjects_with(names)
    }
    values = [value for row in rows.values() for _, value in row if value]
    if not values:
        return top + 24
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
    left, width, base = x + 44, _PANEL - 64, top + 30 + _CHART

    def place(level: float, value: float) -> tuple[float, float]:
        across = math.log10(level / LEVELS[0]) / math.log10(LEVELS[-1] / LEVELS[0])
        return left + across * width, base - (math.log10(value) - low) / (high - low) * _CHART

    for value in _round_values(low, high):
        y = place(LEVELS[0], value)[1]
        canvas.line([(left, y), (left + width, y)], _GRID)
        canvas.text(left - 6, y + 4, f"{value:,.0f}", size=11, colour=_QUIET, anchor="end")
    for level in LEVELS:
        canvas.text(place(level, 1)[0], base + 18, f"{level:,} open", size=11, colour=_QUIET, anchor="middle")
    labels = {each.name: each.label for each in report.tested}
    for name, row in rows.items():
        points = [(level, value) for level, value in row if value]
        colour = _COLOURS.get(name, _OTHER)
        canvas.line([place(*point) for point in points], colour, 2)
        for point in points:
            canvas.dot(*place(*point), colour, f"{labels[name]}: {point[1]:,.0f} µs at {point[0]:,}")
    return _legend(canvas, [(labels[name], _COLOURS.get(name, _OTHER)) for name in rows], x, base + 30)


def _round_values(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two logarithms."""
    steps = [digit * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for digit in (1, 2, 5)]
    return [step for step in steps if low <= math.log10(step) <= high]


def _legend(canvas: Canvas, entries: list[tuple[str, str]], x: float, top: float) -> float:
    for index, (label, colour) in enumerate(entries):
        at, y = x + 44 + index % 2 * (_PANEL / 2 - 20), top + index // 2 * 17
        canvas.bar(at, y, 12, 10, colour)
        canvas.text(at + 18, y + 9, label, size=11)
    return top + (len(entries) + 1) // 2 * 17
