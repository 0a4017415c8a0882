"""The table that `gotunnel usage` shows for one process, in a language. Asks nobody."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from gotunnel.cli.running.tables import GAP, as_it_is
from gotunnel.cli.running.words import bytes_of
from gotunnel.errors import Sentence, printable
from gotunnel.i18n.language import ENGLISH, Language

__all__ = ["BAR", "MOST_ROWS", "picture"]

MOST_ROWS = 400
"""Rows of one table; JSON and CSV have no such limit."""
BAR = 24
"""Characters of the longest bar."""
DAY = 86_400
LATEST = 253_402_128_000
"""The latest time that is shown as it is, in Unix seconds: datetime ends with the year 9999, in any time zone."""


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
    titles = [*(["WHEN"] if told["step"] else []), *_TITLES[by], *FIGURES, BARS]
    whole = [sum(row[key] for row in rows) for key in ("streams", "failures")]
    # Keyed by the English titles, which identify the columns.
    feet = {"VISITORS": str(whole[0]), "FAILED": str(whole[1] or ""), "UP": bytes_of(sum(row["up"] for row in rows)),
            "DOWN": bytes_of(sum(row["down"] for row in rows))}  # fmt: skip
    most = max(row["up"] + row["down"] for row in rows)
    lines: list[list[Text]] = []
    for row in rows[:MOST_ROWS]:
        when = [say(_when(row["time"], told["step"]))] if told["step"] else []
        names = [printable(row[key], 200) for key in ("mapping", "client") if key in row]
        figures: list[str | Text] = [
            str(row["streams"]), Text(str(row["failures"] or ""), "red"), str(row["peak"]), bytes_of(row["up"]),
            bytes_of(row["down"]), Text(_bar(row["up"] + row["down"], most), "cyan"),
        ]  # fmt: skip
        lines.append([as_it_is(cell) for cell in (*when, *names, *figures)])
    table = _Table(titles, lines, feet if by != "total" and len(rows) > 1 else None, said)
    left_out = max(early, len(rows) - MOST_ROWS)
    if left_out <= 0:
        return Group(head, table)
    more = Sentence("… and {rows} more; --csv and --json have all of them", rows=left_out)
    return Group(head, table, Text(say(more), "dim"))


class _Table:
    """A table that drops, on a narrow terminal, what names need the room of."""

    def __init__(
        self, titles: list[str], rows: list[list[Text]], feet: dict[str, str] | None, said: Language
    ) -> None:
        self._titles = titles
        self._rows = rows
        self._feet = feet
        self._said = said

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich, which knows the available width."""
        say, feet = self._said.sentence, self._feet or {}
        heads = [say(title) if title else "" for title in self._titles]
        widest = [max(cell_len(heads[number]), cell_len(feet.get(title, "")),
                      *(cell_len(row[number].plain) for row in self._rows))
                  for number, title in enumerate(self._titles)]  # fmt: skip
        least = [min(wide, NAME) if title in _TITLES["mapping"] else wide
                 for title, wide in zip(self._titles, widest, strict=True)]  # fmt: skip
        kept = list(range(len(self._titles)))
        for spare in SPARE:
            if sum(least[number] + GAP for number in kept) <= options.max_width:
                break
            kept = [number for number in kept if self._titles[number] not in spare]
        fits = sum(least[number] + GAP for number in kept) <= options.max_width
        table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, header_style="bold", footer_style="bold",
                      show_footer=self._feet is not None)  # fmt: skip
        for number in kept:
            title = self._titles[number]
            table.add_column(
                heads[number], feet.get(title, "" if number else say("all")),
                justify="right" if title in FIGURES else "left", overflow="fold",
                no_wrap=title not in _TITLES["mapping"], min_width=least[number] if fits else None,
            )  # fmt: skip
        for row in self._rows:
            table.add_row(*(row[number] for number in kept))
        yield table


_TITLES = {"mapping": ["MAPPING", "CLIENT"], "client": ["CLIENT"], "total": []}
FIGURES = ("VISITORS", "FAILED", "AT ONCE", "UP", "DOWN")
BARS = ""
"""The title of the column of bars."""
SPARE = ((BARS,), ("FAILED", "AT ONCE"), ("VISITORS",))
"""What is dropped first if there is no room for all columns. `--csv` and `--json` have all of them."""
NAME = 14
"""The smallest width of a column of names, if its content is that long."""
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
    return f"{datetime.fromtimestamp(min(seconds, LATEST)).astimezone():%Y-%m-%d %H:%M}"


def _when(seconds: int, step: int) -> str:
    if step % DAY == 0:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d} (UTC)"
    return _local(seconds)
