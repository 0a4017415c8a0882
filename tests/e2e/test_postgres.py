"""PostgreSQL through the tunnel: a large COPY each way, and a notification after a long silence."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import os
import select
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import TunnelTestCase
from tests.e2e.services import Postgres, silence
from tests.processes import DEADLINE, FULL_TIME

ROWS = 100_000
WIDTH = 1000
"""Characters of a row's text: with its number and what stands between, the table is a little more than 100 MB."""
SILENCE = 300.0 if FULL_TIME else 3.0
"""Seconds in which a session that listens says and hears nothing."""
PACE = {} if FULL_TIME else {"heartbeat": 0.2, "heartbeat_timeout": 0.6}


class _Notification(ctypes.Structure):
    """`PGnotify` of libpq-fe.h, as far as it is public."""

    _fields_ = [("relname", ctypes.c_char_p), ("be_pid", ctypes.c_int), ("extra", ctypes.c_char_p)]


class Listener:
    """A libpq connection that listens on a channel. psql would not do: it looks for notifications only after a command,
    and here the first byte after the silence is to come from the server."""

    def __init__(self, case: TunnelTestCase, options: dict[str, str], channel: str) -> None:
        self._case = case
        self._pq = _libpq()
        self._connection = ctypes.c_void_p(self._pq.PQconnectdb(_conninfo(options)))
        case.addCleanup(self._pq.PQfinish, self._connection)
        self.query(f"LISTEN {channel}")

    def query(self, sql: str) -> str:
        """Run a statement; return the first column of its first row, or ""."""
        result = ctypes.c_void_p(self._pq.PQexec(self._connection, sql.encode()))
        try:
            text: bytes = self._pq.PQgetvalue(result, 0, 0) if self._pq.PQntuples(result) else b""
        finally:
            self._pq.PQclear(result)
        error: bytes = self._pq.PQerrorMessage(self._connection)
        self._case.assertEqual(error, b"")
        return text.decode()

    def silent(self) -> bool:
        """Say whether nothing waits to be read."""
        return not select.select([self._pq.PQsocket(self._connection)], [], [], 0)[0]

    def wait(self) -> str:
        """Wait for a notification without sending a byte; return its text."""
        deadline = time.monotonic() + DEADLINE
        while not (found := self._pq.PQnotifies(self._connection)):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._pq.PQsocket(self._connection)], [], [], left)[0]:
                self._case.fail("no notification came")
            if not self._pq.PQconsumeInput(self._connection):
                self._case.fail(f"the connection broke: {self._pq.PQerrorMessage(self._connection)!r}")
        try:
            text: bytes = found.contents.extra
        finally:
            self._pq.PQfreemem(found)
        return text.decode()


def _conninfo(options: dict[str, str]) -> bytes:
    return " ".join(f"{key}='{value}'" for key, value in options.items()).encode()


def _libpq() -> ctypes.CDLL:
    name = ctypes.util.find_library("pq")
    if name is None:
        raise SkipTest("libpq is not installed: apt install postgresql")
    library = ctypes.CDLL(name)
    library.PQnotifies.restype = ctypes.POINTER(_Notification)
    for function in ("PQconnectdb", "PQexec"):
        getattr(library, function).restype = ctypes.c_void_p
    for function in ("PQgetvalue", "PQerrorMessage"):
        getattr(library, function).restype = ctypes.c_char_p
    return library


class PostgresTests(TunnelTestCase):
    """One cluster behind one mapping."""

    def table(self, path: Path) -> str:
        """Write a table as COPY takes it; return the MD5 of the MD5s of its texts."""
        digests = hashlib.md5()
        with path.open("w") as file:
            for number in range(ROWS):
                text = os.urandom(WIDTH // 2).hex()
                digests.update(hashlib.md5(text.encode()).hexdigest().encode())
                file.write(f"{number}\t{text}\n")
        return digests.hexdigest()

    def test_copy(self) -> None:
        """100 MB are copied in, the database has what was sent, and the same bytes are copied out."""
        postgres = Postgres(self)
        server, _, public = self.tunnel(postgres.address)
        there, back = self.folder / "there", self.folder / "back"
        wanted = self.table(there)
        self.assertGreater(there.stat().st_size, 100_000_000)
        postgres.psql(public, "CREATE UNLOGGED TABLE large (number integer, text text)")
        with there.open() as file:
            postgres.psql(public, "COPY large FROM STDIN", stdin=file)
        said = postgres.psql(
            public, "SELECT count(*), md5(string_agg(md5(text), '' ORDER BY number)) FROM large"
        )
        self.assertEqual(said, f"{ROWS}|{wanted}")
        with back.open("w") as file:
            postgres.psql(public, "COPY (SELECT * FROM large ORDER BY number) TO STDOUT", stdout=file)
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (there, back)]
        self.assertEqual(digests[0], digests[1])
        # All of that went through the tunnel, and every session ended in order.
        server.wait_for("visitor .* ended: completed", 4)

    def test_notification_after_silence(self) -> None:
        """A session that was silent for many heartbeat timeouts gets a notification at once, and another one later.
        With TEST_FULL_TIME=1 each silence lasts five minutes, at the default pace."""
        postgres = Postgres(self)
        server, client, public = self.tunnel(postgres.address, **PACE)
        listener = Listener(self, postgres.options(public), "news")
        process = listener.query("SELECT pg_backend_pid()")
        for text in ("the first", "the second"):
            silence(self, SILENCE)
            self.assertTrue(listener.silent())
            postgres.psql(public, f"NOTIFY news, '{text}'")
            self.assertEqual(listener.wait(), text)
        self.assertEqual(listener.query("SELECT pg_backend_pid()"), process)
        self.assertEqual(
            server.count("client client lost") + client.count("connection to the server .* lost"), 0
        )
