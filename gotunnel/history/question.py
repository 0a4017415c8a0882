"""The questions about past traffic that the admin API and `gotunnel usage` accept, and how the file answers them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gotunnel.config.spans import read_span
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.history import sql
from gotunnel.history.sample import ALL
from gotunnel.history.steps import DAY, range_of

__all__ = ["KEYS", "MOST_ROWS", "Misasked", "Question", "answer", "moment", "question"]

KEYS = ("since", "until", "step", "by", "client", "mapping", "limit")
BY = ("mapping", "client", "total")
MOST_ROWS = 50_000
"""Rows of one answer."""
LONGEST_STEP = 366 * DAY


class Misasked(GotunnelError):
    """This question has no answer; the text says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Question:
    """A valid question. Times are Unix seconds."""

    since: float
    until: float
    step: int = 0
    by: str = "mapping"
    client: str | None = None
    mapping: str | None = None
    limit: int = MOST_ROWS


def question(query: Mapping[str, str], now: float) -> Question:
    """Read a query. Raises Misasked."""
    unknown = sorted(set(query) - set(KEYS))
    if unknown:
        raise Misasked(Sentence(
            "usage cannot be chosen by {unknown}, but by {keys}",
            unknown=printable(unknown[0], 60), keys=', '.join(KEYS),
        ))
    since = moment(query.get("since", "24h"), now, "since")
    until = moment(query["until"], now, "until") if "until" in query else now
    if since >= now:
        raise Misasked("since is in the future, where nothing can be yet: give a time that is past, like 24h, or none")
    if since >= until:
        raise Misasked(
            "since (24h, unless it is given) is not before until: give it an earlier time, or until a later one"
        )
    by = query.get("by", "mapping")
    if by not in BY:
        raise Misasked(Sentence("by is one of {by}", by=', '.join(BY)))
    step, limit = _whole(query, "step", LONGEST_STEP), _whole(query, "limit", MOST_ROWS)
    if step and step % 60:
        raise Misasked("step is seconds that make whole minutes: 300, 3600, 86400; without it there is one sum")
    return Question(since, until, step, by, query.get("client"), query.get("mapping"), limit or MOST_ROWS)


def moment(text: str, now: float, key: str) -> float:
    """Return a time in Unix seconds; `text` is that, or a length of time before `now`. Raises Misasked."""
    span = read_span(text)
    if span is not None:
        return max(0.0, now - span)
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return float(text)
    raise Misasked(Sentence(
        "{key} is a length of time before now like 24h, 7d or 90d, or a time in Unix seconds", key=key
    ))


def _whole(query: Mapping[str, str], key: str, most: int) -> int:
    text = query.get(key, "0")
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > most:
        raise Misasked(Sentence("{key} is a whole number up to {most}", key=key, most=most))
    return int(text)


def answer(connection: sqlite3.Connection | None, asked: Question, now: float) -> dict[str, Any]:
    """Return the file's answer; `connection` is None if there is no file. Raises sqlite3.Error."""
    range_ = range_of(asked.since, asked.until, asked.step, now)
    rows: list[dict[str, Any]] = []
    if connection is not None:
        cursor = connection.execute(*_query(asked, range_.size, range_.since, range_.until, range_.step))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(asked.limit + 1)]
    more = len(rows) > asked.limit
    return {
        "since": range_.since, "until": range_.until, "step": range_.step, "by": asked.by, "more": more,
        "usage": rows[: asked.limit],
    }  # fmt: skip


def _query(asked: Question, size: int, since: int, until: int, step: int) -> tuple[str, dict[str, Any]]:
    """Peaks cannot be added up: those of a client, and of all clients, are in rows of their own."""
    groups = {"mapping": ["client", "mapping"], "client": ["client"], "total": []}[asked.by]
    conditions = []
    if asked.client is not None:
        conditions.append(sql.OF_CLIENT)
    if asked.mapping is not None:
        conditions.append(sql.OF_MAPPING)
    peak = sql.SUMMED
    if asked.by == "mapping" or asked.mapping is not None:
        peak = sql.OF_ONE
        conditions.append(peak)
    elif asked.by == "client" or asked.client is not None:
        conditions.append(sql.NOT_FOR_ALL)
    else:
        peak = sql.FOR_ALL
    return sql.sums(groups, conditions, sql.peaks(peak), stepped=step > 0), {
        "size": size, "since": since, "until": until, "step": step, "client": asked.client, "mapping": asked.mapping,
        "all": ALL, "limit": asked.limit + 1,
    }  # fmt: skip
