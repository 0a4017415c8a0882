"""The SQLite file of one role. It blocks: use it in one thread at a time, and not in the reactor's. Several processes
may have the same file open; what they write is added up. A kill at any moment loses only what was not written yet."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gotunnel.core.accounts import OTHERS
from gotunnel.errors import GotunnelError, Sentence, system_words
from gotunnel.history import sql
from gotunnel.history.sample import ALL, Row
from gotunnel.history.steps import DAY, LEVELS, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MOST_NAMES", "Damaged", "Store", "Unusable", "connect", "told"]

APPLICATION = 0x676F7475  # "gotu"
FORMAT = 1
MOST_NAMES = 20_000
"""Mappings in the file, including those of clients that are long gone; further ones are added up under one name."""
MOST_NAMES_OF_CLIENT = 10_000
MOST_BYTES = 128 * 1024 * 1024
"""The size that the file never exceeds; the limits on rows keep it far below."""
PAGE = 4096
WAL_BYTES = 4 * 1024 * 1024
BUSY = 0.75
"""Seconds to wait for another process that is writing; each write takes milliseconds. A question waits at most twice as
long, because new data is written first. Data that could not be written is added to the next write."""
LOCKED = "another program has locked it; when that is done it works again"
FUTURE = 2 * DAY
"""A row that is more than this many seconds ahead of the clock was written with a wrong clock."""

_LOCKED = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
_LOCKED_WORDS = ("database is locked", "database table is locked")
_BROKEN = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB: Python has the names since 3.11
_BROKEN_WORDS = ("malformed", "not a database")


class Unusable(GotunnelError):
    """The file cannot be used now; the text says why."""


class Damaged(Unusable):
    """The file can never be used: its content is no history any more."""


@contextmanager
def told() -> Iterator[None]:
    """Turn errors of SQLite and the system into Unusable and Damaged."""
    try:
        yield
    except sqlite3.Error as failed:
        code = getattr(failed, "sqlite_errorcode", None)
        if str(failed) in _LOCKED_WORDS if code is None else code & 0xFF in _LOCKED:
            raise Unusable(LOCKED) from None
        broken = any(word in str(failed) for word in _BROKEN_WORDS) if code is None else code & 0xFF in _BROKEN
        raise (Damaged if broken else Unusable)(str(failed)) from None
    except OSError as failed:
        raise Unusable(system_words(failed)) from None


def connect(path: str, *, write: bool) -> sqlite3.Connection:
    """Open the file. Raises Unusable."""
    with told():
        if write:
            # SQLite would create it with the mode of the umask.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        elif not os.access(path, os.R_OK):
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # raises an error with the reason
        uri = f"file://{_quoted(path)}?mode={'rw' if write else 'ro'}"
        connection = sqlite3.connect(uri, timeout=BUSY, isolation_level=None, check_same_thread=False, uri=True)
        try:
            _check(connection, write=write)
        except BaseException:
            connection.close()
            raise
        return connection


def _quoted(path: str) -> str:
    return "".join(f"%{ord(c):02x}" if c in "%?#" else c for c in os.path.abspath(path))


def _check(connection: sqlite3.Connection, *, write: bool) -> None:
    application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    (empty,) = connection.execute(sql.IS_EMPTY).fetchone()
    if application != APPLICATION and not empty:
        raise Unusable("it is a database of another program")
    if version > FORMAT:
        raise Unusable(Sentence("a newer gotunnel has written it (format {version})", version=version))
    if not write:
        return
    found = _pragma(connection, "quick_check(1)")
    if found != "ok":
        raise Damaged(str(found))
    for setting in sql.SETTINGS:
        _pragma(connection, setting.format(wal=WAL_BYTES, pages=MOST_BYTES // PAGE))
    if empty:
        _make(connection)


def _make(connection: sqlite3.Connection) -> None:
    """Make the tables in one transaction: a kill leaves an empty file or a complete one. Another process may be
    first."""
    with suppress(sqlite3.OperationalError):
        connection.executescript(sql.making(APPLICATION, FORMAT))
        return
    if _pragma(connection, "application_id") != APPLICATION:
        raise Unusable("its tables cannot be made")


def _pragma(connection: sqlite3.Connection, words: str) -> Any:
    row = connection.execute(f"PRAGMA {words}").fetchone()
    return None if row is None else row[0]


class Store:
    """The file, open for writing. `path` is created if it is missing, but its folder is not. Raises Unusable, also
    later."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection = connect(path, write=True)
        with told():
            self._inode = os.stat(path).st_ino

    @property
    def in_place(self) -> bool:
        """Whether the open file still has this name: it may have been moved away."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for reading."""
        return self._connection

    def add(self, time: int, rows: Iterable[Row]) -> None:
        """Add what was carried in the piece of time that begins at `time`: all of it, or nothing."""
        with told(), self._transaction() as cursor:
            names: dict[tuple[str, str], int] = {}
            for row in rows:
                name = self._name(cursor, row.client, row.mapping, names)
                added = [(level.size, time - time % level.size, name, *row[2:]) for level in LEVELS]
                cursor.executemany(sql.ADD, added)

    def prune(self, now: float, keep: int, *, by_age: bool) -> None:
        """Drop rows that exceed the limits; with `by_age`, drop old rows, too."""
        with told(), self._transaction() as cursor:
            for level in LEVELS:
                if by_age:
                    oldest = int(now) - kept(level, keep)
                    cursor.execute(sql.OLD, (level.size, oldest))
                self._thin(cursor, level.size, level.rows, now)
            cursor.execute(sql.UNUSED)

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        cursor = self._connection.cursor()
        cursor.execute(sql.BEGIN)
        try:
            yield cursor
            cursor.execute(sql.COMMIT)
        except BaseException:
            with suppress(sqlite3.Error):
                cursor.execute(sql.ROLLBACK)
            raise

    def _thin(self, cursor: sqlite3.Cursor, size: int, most: int, now: float) -> None:
        def excess() -> int:
            return int(cursor.execute(sql.COUNT, (size,)).fetchone()[0]) - most

        if excess() > 0:
            cursor.execute(sql.AHEAD, (size, int(now) + FUTURE))
        over = excess()
        if over > 0:
            # A tenth more, so that this is not necessary each time.
            (until,) = cursor.execute(sql.PLACE, (size, over + most // 10 - 1)).fetchone()
            cursor.execute(sql.UP_TO, (size, until))

    def _name(self, cursor: sqlite3.Cursor, client: str, mapping: str, names: dict[tuple[str, str], int]) -> int:
        known = names.get((client, mapping))
        if known is not None:
            return known
        found = _id(cursor, client, mapping)
        if found is None:
            all_, own = cursor.execute(sql.COUNT_NAMES, (client,)).fetchone()
            if all_ >= MOST_NAMES and client not in (ALL, OTHERS):
                return self._name(cursor, OTHERS, OTHERS if mapping else "", names)
            if own >= MOST_NAMES_OF_CLIENT and mapping not in ("", OTHERS):
                return self._name(cursor, client, OTHERS, names)
            cursor.execute(sql.NEW_NAME, (client, mapping))
            found = int(cursor.lastrowid or 0)
        names[client, mapping] = found
        return found


def _id(cursor: sqlite3.Cursor, client: str, mapping: str) -> int | None:
    row = cursor.execute(sql.FIND_NAME, (client, mapping)).fetchone()
    return None if row is None else int(row[0])
