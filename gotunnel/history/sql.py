"""The SQL statements. No statement contains a peer's value: these are parameters."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ADD", "AHEAD", "BEGIN", "COMMIT", "COUNT", "COUNT_NAMES", "FIND_NAME", "FOR_ALL", "IS_EMPTY", "NEW_NAME",
    "NOT_FOR_ALL", "OF_CLIENT", "OF_MAPPING", "OF_ONE", "OLD", "PLACE", "ROLLBACK", "SETTINGS", "SUMMED", "UNUSED",
    "UP_TO", "making", "peaks", "sums",
]  # fmt: skip

SCHEMA = """
CREATE TABLE name (id INTEGER PRIMARY KEY, client TEXT NOT NULL, mapping TEXT NOT NULL, UNIQUE (client, mapping));
CREATE TABLE flow (level INTEGER NOT NULL, time INTEGER NOT NULL, name INTEGER NOT NULL, up INTEGER NOT NULL,
    down INTEGER NOT NULL, streams INTEGER NOT NULL, failures INTEGER NOT NULL, peak INTEGER NOT NULL,
    PRIMARY KEY (level, time, name)) WITHOUT ROWID;
"""
SETTINGS = (
    "journal_mode = WAL", "synchronous = NORMAL", "journal_size_limit = {wal}", "cache_size = -512",
    "max_page_count = {pages}",
)  # fmt: skip
IS_EMPTY = "SELECT count(*) = 0 FROM sqlite_master"
BEGIN, COMMIT, ROLLBACK = "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"

ADD = """INSERT INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET up = up + excluded.up,
    down = down + excluded.down, streams = streams + excluded.streams, failures = failures + excluded.failures,
    peak = max(peak, excluded.peak)"""
FIND_NAME = "SELECT id FROM name WHERE client = ? AND mapping = ?"
COUNT_NAMES = "SELECT count(*), count(*) FILTER (WHERE client = ?) FROM name"
NEW_NAME = "INSERT INTO name (client, mapping) VALUES (?, ?)"

OLD = "DELETE FROM flow WHERE level = ? AND time < ?"
UP_TO = "DELETE FROM flow WHERE level = ? AND time <= ?"
AHEAD = "DELETE FROM flow WHERE level = ? AND time > ?"
COUNT = "SELECT count(*) FROM flow WHERE level = ?"
PLACE = "SELECT time FROM flow WHERE level = ? ORDER BY time LIMIT 1 OFFSET ?"
UNUSED = "DELETE FROM name WHERE id NOT IN (SELECT name FROM flow)"

OF_CLIENT, OF_MAPPING = "client = :client", "mapping = :mapping"
SUMMED, OF_ONE = "mapping = ''", "mapping != ''"
FOR_ALL, NOT_FOR_ALL = "client = :all", "client != :all"


def making(application: int, format: int) -> str:
    """Return the script that makes the tables, in one transaction."""
    marks = f"PRAGMA application_id = {application}; PRAGMA user_version = {format}"
    return f"{BEGIN};{SCHEMA}{marks};{COMMIT};"


def peaks(which: str) -> str:
    """Return the peak of the rows of a group that meet the condition `which`."""
    return f"coalesce(max(peak) FILTER (WHERE {which}), 0)"


def sums(groups: Sequence[str], conditions: Sequence[str], peak: str, *, stepped: bool) -> str:
    """Return the query for rows by `groups`, and by steps of time if `stepped`."""
    groups = [*(["time - time % :step AS time"] if stepped else []), *groups]
    told = [*groups, *(f"sum({key}) AS {key}" for key in ("up", "down", "streams", "failures")), f"{peak} AS peak"]
    places = ", ".join(str(place + 1) for place in range(len(groups)))
    order = f"GROUP BY {places} ORDER BY {places}" if groups else "HAVING count(*) > 0"
    where = ["level = :size", "time >= :since", "time < :until", *conditions]
    return (
        f"SELECT {', '.join(told)} FROM flow JOIN name ON name.id = flow.name "  # noqa: S608 - our own words
        f"WHERE {' AND '.join(where)} {order} LIMIT :limit"
    )
