"""The table that `gotunnel usage` shows for one process, in a language. Asks nobody."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gotunnel.cli.running.tables import as_it_is
from gotunnel.cli.running.words import bytes_of
from gotunnel.errors import Sentence, printable
from gotunnel.i18n.language import ENGLISH, Language

__all__ = ["BAR", "MOST_ROWS", "picture"]

MOST_ROWS = 400
"""Rows of one table; JSON and CSV have no such limit."""
BAR = 24
"""Characters of the longest bar."""
DAY = 86_400


def picture(told: dict[str, Any], said: Language = ENGLISH) -> RenderableType:
    """Return the whole output for one process."""
    rows, say = told["usage"], said.sentence
    head = Text()
    head.append(" ".join(("gotunnel", say(printable(told["role"])), printable(told["name"]))).rstrip(), "bold")
    head.append("  ")
    span = Sentence("traffic from {since} to {until}", since=_local(told["since"]), until=_local(told["until"]))
    head.append(say(span))
    head.append("\n")
    if not rows:
        return Group(head, Text(say("nobody has visited"), "yellow"))
    by = told["by"]
    if not told["step"]:
        rows = sorted(rows, key=lambda row: (-row["up"] - row["down"], -row["streams"]))
    elif by == "total":
        rows = _filled(told)
    early = sum(row["time"] < rows[0]["time"] for row in told["usage"]) if told["step"] else 0
    titles = [*(["WHEN"] if told["step"] else []), *_TITLES[by]]
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, header_style="bold", footer_style="bold",
                  show_footer=by != "total" and len(rows) > 1)  # fmt: skip
    whole = [sum(row[key] for row in rows) for key in ("streams", "failures")]
    # Keyed by the English titles, which identify the columns.
    feet = {"VISITORS": str(whole[0]), "FAILED": str(whole[1] or ""), "UP": bytes_of(sum(row["up"] for row in rows)),
            "DOWN": bytes_of(sum(row["down"] for row in rows))}  # fmt: skip
    for number, title in enumerate([*titles, *FIGURES]):
        figure = number >= len(titles)
        table.add_column(
            say(title), feet.get(title, say("all") if not number else ""), justify="right" if figure else "left",
            no_wrap=figure or title == "WHEN", overflow="fold",
        )  # fmt: skip
    table.add_column("", no_wrap=True)
    most = max(row["up"] + row["down"] for row in rows)
    for row in rows[:MOST_ROWS]:
        when = [say(_when(row["time"], told["step"]))] if told["step"] else []
        names = [as_it_is(printable(row[key], 200)) for key in ("mapping", "client") if key in row]
        failed = Text(str(row["failures"] or ""), "red")
        table.add_row(*when, *names, str(row["streams"]), failed, str(row["peak"]), bytes_of(row["up"]),
                      bytes_of(row["down"]), Text(_bar(row["up"] + row["down"], most), "cyan"))  # fmt: skip
    left_out = max(early, len(rows) - MOST_ROWS)
    if left_out <= 0:
        return Group(head, table)
    more = Sentence("… and {rows} more; --csv and --json have all of them", rows=left_out)
    return Group(head, table, Text(say(more), "dim"))


_TITLES = {"mapping": ["MAPPING", "CLIENT"], "client": ["CLIENT"], "total": []}
FIGURES = ("VISITORS", "FAILED", "AT ONCE", "UP", "DOWN")
TITLES = (*FIGURES, "WHEN", "MAPPING", "CLIENT", "all")


def _filled(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Add the steps in which nobody came, so that gaps are visible. The latest steps are returned."""
    step, rows = told["step"], {row["time"]: row for row in told["usage"]}
    nothing = {"up": 0, "down": 0, "streams": 0, "failures": 0, "peak": 0}
    times = range(min(rows), max(rows) + 1, step)
    return [rows.get(time, {"time": time, **nothing}) for time in times[-MOST_ROWS:]]


def _bar(count: int, most: int) -> str:
    if not count:
        return ""
    eighths = max(1, round(count / most * BAR * 8))
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def _local(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def _when(seconds: int, step: int) -> str:
    if step % DAY == 0:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d} (UTC)"
    return _local(seconds)
