"""What `gotunnel status` shows of one process, as rich's tables. Asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from gotunnel.cli.running.words import COLOURS, bytes_of, seconds_of, since
from gotunnel.errors import printable

__all__ = ["MOST_ROWS", "picture"]

MOST_ROWS = 200
"""Rows of one table; JSON has no such limit."""


RIGHT = ("VISITORS", "SERVED", "WAITING", "UP", "DOWN", "ROUND TRIP", "LAST PONG", "MAPPINGS", "LEGS")
"""Titles above figures."""
WHOLE = ("STATE", "SINCE", "AT", "STREAM")
"""Titles above what is not to be broken into lines."""
READABLE = {"WHY": 24}
"""How wide a column is at least, if what is in it is that long; others 14."""
GAP = 3
"""Columns between two of a table."""
SPARE = (
    ("SERVED",), ("UP", "DOWN"), ("WAITING", "LEGS"), ("ROUND TRIP", "LAST PONG"), ("FROM", "TARGET"), ("SINCE", "AT"),
)  # fmt: skip
"""What goes first where there is no room for all. `--json` has all of it."""


def picture(status: dict[str, Any], *, rates: tuple[float, float] | None = None) -> RenderableType:
    """Return all of one process; `rates` are bytes a second, up and down."""
    parts: list[RenderableType] = [_head(status, rates), *_complaints(status), _sessions(status)]
    if status["mappings"]:
        parts.append(_mappings(status))
    if "streams" in status:
        parts.append(_streams(status["streams"]))
    if "events" in status:
        parts.append(_events(status["events"]))
    return Group(*parts)


def _head(status: dict[str, Any], rates: tuple[float, float] | None) -> Text:
    role, counters, descriptors = status["role"], status["counters"], status["role"]["descriptors"]
    head = Text()
    head.append(f"gotunnel {role['role']} {printable(role['name'])}", "bold")
    word = "draining" if role["draining"] else "ready" if status["ready"] else "not ready"
    head.append("  ")
    head.append(word, "green" if word == "ready" else "yellow" if word == "draining" else "red")
    head.append(f"  up {since(role['age'])}, version {role['version']}, pid {role['pid']}, ")
    head.append(f"log level {role['log_level']}\n")
    legs = status["legs"]
    head.append(
        f"visitors {counters['live']} of {counters['opened']} since the start, {status['pending']} waiting; "
        f"legs {legs['idle']} idle, {legs['busy']} busy; "
        f"bytes {bytes_of(counters['up'])} up, {bytes_of(counters['down'])} down"
    )
    if rates is not None:
        head.append(f" (now {bytes_of(rates[0])}/s, {bytes_of(rates[1])}/s)")
    used = "" if descriptors["used"] is None else f"; descriptors {descriptors['used']} of {descriptors['limit']}"
    head.append(f"{used}\n")
    return head


def _complaints(status: dict[str, Any]) -> list[Text]:
    return [
        Text(f"{printable(each['check'])}: {printable(each['reason'], 400)}", "red")
        for each in status["findings"] if not each["ok"]
    ]  # fmt: skip


def _sessions(status: dict[str, Any]) -> RenderableType:
    server = status["role"]["role"] == "server"
    if not status["sessions"]:
        return Text("no client is connected" if server else "no server is known yet", "yellow")
    titles = ("CLIENT" if server else "SERVER", "STATE", "FROM", "SINCE", "ROUND TRIP", "LAST PONG", "MAPPINGS",
              "VISITORS", "WAITING", "LEGS", "WHY")  # fmt: skip
    rows = []
    for each in status["sessions"]:
        legs = each["legs"]
        rows.append((
            printable(each["name"]), _state(each["state"]), printable(each["address"]) if server else "",
            since(each["age"]), seconds_of(each["round_trip"]), seconds_of(each["pong_age"]), str(each["mappings"]),
            str(each["streams"]), str(each["pending"] or ""), f"{legs['idle'] + legs['busy']}",
            Text(printable(each["reason"], 300)),
        ))  # fmt: skip
    return _Table(titles, rows)


def _mappings(status: dict[str, Any]) -> RenderableType:
    server = status["role"]["role"] == "server"
    several = len(status["sessions"]) > 1 and not server
    titles = ("MAPPING", "CLIENT" if server else "SERVER", "STATE", "AT", "TARGET", "VISITORS", "SERVED", "UP", "DOWN",
              "WHY")  # fmt: skip
    rows = []
    for each in status["mappings"]:
        whose = each["client"] if server else each["server"] if several else ""
        kind = "" if each["kind"] == "mapping" else f" ({each['kind']})"
        rows.append((
            printable(each["name"]) + kind, printable(whose or ""), _state(each["state"]), printable(each["address"]),
            printable(each["target"] or ""), _number(each["streams"]), _number(each["ended"]), bytes_of(each["up"]),
            bytes_of(each["down"]), Text(printable(each["reason"], 300) + _for(each["age"])),
        ))  # fmt: skip
    return _Table(titles, rows)


def _streams(streams: list[dict[str, Any]]) -> RenderableType:
    if not streams:
        return Text("no visitor is here")
    rows = [
        (
            printable(each["conn"]), printable(each["client"]), printable(each["mapping"]), printable(each["visitor"]),
            _state(each["state"]), since(each["age"]), bytes_of(each["up"]), bytes_of(each["down"]),
        )
        for each in streams
    ]  # fmt: skip
    return _Table(("STREAM", "CLIENT", "MAPPING", "VISITOR", "STATE", "SINCE", "UP", "DOWN"), rows)


def _events(events: list[dict[str, Any]]) -> RenderableType:
    if not events:
        return Text("nothing has happened")
    from datetime import datetime

    text = Text()
    for each in reversed(events[:20]):
        when = datetime.fromtimestamp(each["time"]).astimezone()
        text.append(f"{when:%H:%M:%S} {printable(each['text'], 500)}\n", COLOURS.get(each["level"], ""))
    return text


class _Table:
    """A table without the columns that are empty and, where the terminal is narrow, without what is least missed: names
    and reasons are not to become columns of single letters."""

    def __init__(self, titles: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        self._titles = titles
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich, which knows how wide it may be."""
        titles = self._titles
        widest = [max(cell_len(title), *(cell_len(str(row[number])) for row in self._rows)) if self._rows else 0
                  for number, title in enumerate(titles)]  # fmt: skip
        least = [wide if title in RIGHT or title in WHOLE else min(wide, READABLE.get(title, 14))
                 for title, wide in zip(titles, widest, strict=True)]  # fmt: skip
        kept = [number for number in range(len(titles)) if any(row[number] for row in self._rows)]
        for spare in SPARE:
            if sum(least[number] + GAP for number in kept) <= options.max_width:
                break
            kept = [number for number in kept if titles[number] not in spare]
        fits = sum(least[number] + GAP for number in kept) <= options.max_width
        table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, header_style="bold")
        for number in kept:
            right, whole = titles[number] in RIGHT, titles[number] in WHOLE
            table.add_column(
                titles[number], justify="right" if right else "left", no_wrap=right or whole, overflow="fold",
                min_width=least[number] if fits else None,
            )  # fmt: skip
        for row in self._rows[:MOST_ROWS]:
            table.add_row(*(row[number] for number in kept))
        yield table
        if len(self._rows) > MOST_ROWS:
            yield Text(f"… and {len(self._rows) - MOST_ROWS} more; --json has all of them", "dim")


def _state(word: str) -> Text:
    return Text(printable(word), COLOURS.get(word, ""))


def _for(age: float | None) -> str:
    return "" if age is None else f" (for {since(age)})"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
