"""What `gotunnel status` shows of one process, as rich's tables. Asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
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
    return _table(titles, rows)


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
            bytes_of(each["down"]), Text(printable(each["reason"], 300)),
        ))  # fmt: skip
    return _table(titles, rows)


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
    return _table(("STREAM", "CLIENT", "MAPPING", "VISITOR", "STATE", "SINCE", "UP", "DOWN"), rows)


def _events(events: list[dict[str, Any]]) -> RenderableType:
    if not events:
        return Text("nothing has happened")
    from datetime import datetime

    text = Text()
    for each in reversed(events[:20]):
        when = datetime.fromtimestamp(each["time"]).astimezone()
        text.append(f"{when:%H:%M:%S} {printable(each['text'], 500)}\n", COLOURS.get(each["level"], ""))
    return text


def _table(titles: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> RenderableType:
    """Return a table without the columns that are empty."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, header_style="bold")
    kept = [number for number in range(len(titles)) if any(row[number] for row in rows)]
    for number in kept:
        right, whole = titles[number] in RIGHT, titles[number] in WHOLE
        table.add_column(titles[number], justify="right" if right else "left", no_wrap=right or whole, overflow="fold")
    for row in rows[:MOST_ROWS]:
        table.add_row(*(row[number] for number in kept))
    if len(rows) <= MOST_ROWS:
        return table
    return Group(table, Text(f"… and {len(rows) - MOST_ROWS} more; --json has all of them", "dim"))


def _state(word: str) -> Text:
    return Text(printable(word), COLOURS.get(word, ""))


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
