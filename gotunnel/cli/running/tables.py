"""The output of `gotunnel status` for one process, as rich tables, in a language. Asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from gotunnel.cli.running.nodes import nodes_of, refusal_of
from gotunnel.cli.running.words import COLOURS, bytes_of, seconds_of, since
from gotunnel.errors import Sentence, printable
from gotunnel.i18n.language import ENGLISH, Language

__all__ = ["MOST_ROWS", "as_it_is", "picture"]

MOST_ROWS = 200
"""Rows of one table; JSON has no such limit."""


SESSIONS = ("STATE", "FROM", "SINCE", "ROUND TRIP", "LAST PONG", "MAPPINGS", "VISITORS", "WAITING", "LEGS", "NODES",
            "WHY")  # fmt: skip
MAPPINGS = ("STATE", "AT", "TARGET", "VISITORS", "SERVED", "UP", "DOWN", "WHY")
STREAMS = ("STREAM", "CLIENT", "MAPPING", "VISITOR", "STATE", "SINCE", "UP", "DOWN")
TITLES = (*SESSIONS, *MAPPINGS, *STREAMS, "SERVER")
"""Titles of columns. In the source they are English, and identify the columns."""
RIGHT = ("VISITORS", "SERVED", "WAITING", "UP", "DOWN", "ROUND TRIP", "LAST PONG", "MAPPINGS", "LEGS")
"""Titles of columns with figures."""
WHOLE = ("STATE", "SINCE", "AT", "STREAM")
"""Titles of columns whose cells must not be broken into lines."""
READABLE = {"WHY": 24}
"""The smallest width of a column, if its content is that long; 14 for other columns."""
GAP = 3
"""Cells between two columns of a table."""
SPARE = (
    ("SERVED",), ("UP", "DOWN"), ("WAITING", "LEGS"), ("ROUND TRIP", "LAST PONG"), ("FROM", "TARGET"), ("SINCE", "AT"),
    ("NODES",),
)  # fmt: skip
"""What is dropped first if there is no room for all columns. `--json` has all of them."""


def picture(
    status: dict[str, Any], *, rates: tuple[float, float] | None = None, said: Language = ENGLISH
) -> RenderableType:
    """Return the whole output for one process; `rates` are bytes per second, up and down."""
    return _Picture(said).whole(status, rates)


class _Picture:
    """The output, in one language."""

    def __init__(self, said: Language) -> None:
        self._said = said

    def whole(self, status: dict[str, Any], rates: tuple[float, float] | None) -> RenderableType:
        """Return the whole output."""
        parts: list[RenderableType] = [self._head(status, rates), *self._complaints(status), self._sessions(status)]
        if status["mappings"]:
            parts.append(self._mappings(status))
        if "streams" in status:
            parts.append(self._streams(status["streams"]))
        if "events" in status:
            parts.append(self._events(status["events"]))
        return Group(*parts)

    def _head(self, status: dict[str, Any], rates: tuple[float, float] | None) -> Text:
        role, counters, descriptors = status["role"], status["counters"], status["role"]["descriptors"]
        say = self._said.sentence
        head = Text()
        head.append(" ".join(("gotunnel", say(role["role"]), printable(role["name"]))), "bold")
        word = "draining" if role["draining"] else "ready" if status["ready"] else "not ready"
        head.append("  ")
        head.append(say(word), "green" if word == "ready" else "yellow" if word == "draining" else "red")
        head.append("  ")
        head.append(say(Sentence(
            "up {age}, version {version}, pid {pid}, log level {level}",
            age=since(role["age"]), version=role["version"], pid=role["pid"], level=role["log_level"],
        )))
        head.append("\n")
        legs = status["legs"]
        head.append(say(Sentence(
            "visitors {live} of {opened} since the start, {pending} waiting; legs {idle} idle, {busy} busy; "
            "bytes {up} up, {down} down",
            live=counters["live"], opened=counters["opened"], pending=status["pending"], idle=legs["idle"],
            busy=legs["busy"], up=bytes_of(counters["up"]), down=bytes_of(counters["down"]),
        )))
        if rates is not None:
            head.append(say(Sentence(" (now {up}/s, {down}/s)", up=bytes_of(rates[0]), down=bytes_of(rates[1]))))
        if descriptors["used"] is not None:
            head.append(say(Sentence(
                "; descriptors {used} of {limit}", used=descriptors["used"], limit=descriptors["limit"]
            )))
        head.append("\n")
        return head

    def _complaints(self, status: dict[str, Any]) -> list[Text]:
        return [Text(said_of(each, self._said), "red") for each in status["findings"] if not each["ok"]]

    def _sessions(self, status: dict[str, Any]) -> RenderableType:
        server = status["role"]["role"] == "server"
        if not status["sessions"]:
            return Text(self._said.sentence("no client is connected" if server else "no server is known yet"), "yellow")
        rows = []
        for each in status["sessions"]:
            legs = each["legs"]
            rows.append((
                printable(each["name"]), self._state(each["state"]), printable(each["address"]) if server else "",
                self._text(since(each["age"])), self._text(seconds_of(each["round_trip"])),
                self._text(seconds_of(each["pong_age"])), str(each["mappings"]), str(each["streams"]),
                str(each["pending"] or ""), f"{legs['idle'] + legs['busy']}", self._text(nodes_of(each)),
                self._why(each),
            ))  # fmt: skip
        return _Table(("CLIENT" if server else "SERVER", *SESSIONS), rows, self._said)

    def _mappings(self, status: dict[str, Any]) -> RenderableType:
        server = status["role"]["role"] == "server"
        several = len(status["sessions"]) > 1 and not server
        rows = []
        for each in status["mappings"]:
            whose = each["client"] if server else each["server"] if several else ""
            rows.append((
                printable(each["name"]) + self._apart(each), printable(whose or ""), self._state(each["state"]),
                printable(each["address"]), printable(each["target"] or ""), _number(each["streams"]),
                _number(each["ended"]), bytes_of(each["up"]), bytes_of(each["down"]), self._reason(each, each["age"]),
            ))  # fmt: skip
        return _Table(("MAPPING", "CLIENT" if server else "SERVER", *MAPPINGS), rows, self._said)

    def _apart(self, mapping: dict[str, Any]) -> str:
        words = [] if mapping["kind"] == "mapping" else [mapping["kind"]]
        if mapping.get("encrypted") is False:  # an older process does not send it
            words.append("without TLS")
        return f" ({', '.join(map(self._said.sentence, words))})" if words else ""

    def _streams(self, streams: list[dict[str, Any]]) -> RenderableType:
        if not streams:
            return Text(self._said.sentence("no visitors"))
        rows = [
            (
                printable(each["conn"]), printable(each["client"]), printable(each["mapping"]),
                printable(each["visitor"]), self._state(each["state"]), self._text(since(each["age"])),
                bytes_of(each["up"]), bytes_of(each["down"]),
            )
            for each in streams
        ]  # fmt: skip
        return _Table(STREAMS, rows, self._said)

    def _events(self, events: list[dict[str, Any]]) -> RenderableType:
        if not events:
            return Text(self._said.sentence("no events"))
        from datetime import datetime

        text = Text()
        for each in reversed(events[:20]):
            when = datetime.fromtimestamp(each["time"]).astimezone()
            said = self._said.sentence(printable(each["text"], 500))
            text.append(f"{when:%H:%M:%S} {said}\n", COLOURS.get(each["level"], ""))
        return text

    def _state(self, word: str) -> Text:
        # The translation of a visitor's outcome with the same name has that name in it.
        said = self._said.sentence(printable(word)).removesuffix(f"（{word}）")
        return Text(said, COLOURS.get(word, ""))

    def _reason(self, each: dict[str, Any], age: float | None = None) -> Text:
        said = self._said.sentence(printable(each["reason"], 300))
        return Text(said if age is None else said + self._said.sentence(Sentence(" (for {age})", age=since(age))))

    def _why(self, session: dict[str, Any]) -> Text:
        reason, refusal = self._reason(session), refusal_of(session)
        if not refusal:
            return reason
        return Text("; ".join(filter(None, (reason.plain, self._said.sentence(refusal)))), "yellow")

    def _text(self, figure: str) -> str:
        return self._said.sentence(figure)


def said_of(finding: dict[str, Any], said: Language) -> str:
    """Return one line about something that is wrong."""
    check, reason = (printable(finding[key], 400) for key in ("check", "reason"))
    return said.sentence(Sentence("{check}: {reason}", check=Sentence.word(check), reason=Sentence.word(reason)))


class _Table:
    """A table without empty columns and, on a narrow terminal, without the least important ones, so that names and
    reasons do not become columns of single letters."""

    def __init__(
        self, titles: Sequence[str], rows: Sequence[Sequence[str | Text]], said: Language = ENGLISH
    ) -> None:
        self._titles = titles
        self._rows = rows
        self._said = said

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich, which knows the available width."""
        titles, heads = self._titles, [self._said.sentence(title) for title in self._titles]
        widest = [max(cell_len(heads[number]), *(cell_len(str(row[number])) for row in self._rows)) if self._rows else 0
                  for number in range(len(titles))]  # fmt: skip
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
                heads[number], justify="right" if right else "left", no_wrap=right or whole, overflow="fold",
                min_width=least[number] if fits else None,
            )  # fmt: skip
        for row in self._rows[:MOST_ROWS]:
            table.add_row(*(as_it_is(row[number]) for number in kept))
        yield table
        if len(self._rows) > MOST_ROWS:
            more = Sentence("… and {rows} more; --json has all of them", rows=len(self._rows) - MOST_ROWS)
            yield Text(self._said.sentence(more), "dim")


def as_it_is(cell: str | Text) -> Text:
    """Return a cell without rich's markup: rich takes `[fd00::1]` for a tag, and `:key:` for an emoji."""
    return Text(cell) if isinstance(cell, str) else cell


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
