"""The file."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.accounts import OTHERS
from gotunnel.history import store as module
from gotunnel.history.question import Misasked, answer, question
from gotunnel.history.sample import ALL, Row
from gotunnel.history.steps import DAY, HOUR, MINUTE, Level
from gotunnel.history.store import Damaged, Store, Unusable, connect, told

NOW = 20_000 * DAY + 10 * HOUR + 30 * MINUTE


def row(client: str = "c", mapping: str = "m", up: int = 1, peak: int = 1) -> Row:
    """Return a row with one visitor."""
    return Row(client, mapping, up, 2 * up, 1, 0, peak)


class FileCase(SynchronousTestCase):
    """A file in a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = str(self.folder / "usage-server.db")

    def open(self) -> Store:
        """Open it; it is closed when the test ends."""
        it = Store(self.path)
        self.addCleanup(it.close)
        return it

    def ask(self, it: Store, now: float = NOW, **query: str) -> list[dict[str, Any]]:
        """Return the rows of an answer."""
        found: list[dict[str, Any]] = answer(it.connection, question(query, now), now)["usage"]
        return found

    def count(self, it: Store, size: int) -> int:
        """Return how many rows there are of a level."""
        return int(it.connection.execute("SELECT count(*) FROM flow WHERE level = ?", (size,)).fetchone()[0])


class StoreTests(FileCase):
    """Writing and reading."""

    def test_adds_up(self) -> None:
        """What is added to one piece of time is added up, across processes and restarts; of peaks the highest stays."""
        one, two = self.open(), self.open()
        one.add(NOW, [row(peak=5)])
        two.add(NOW, [row(up=10)])
        one.close()
        found = self.ask(self.open(), now=NOW + 60, since="1h")
        self.assertEqual(
            found, [{"client": "c", "mapping": "m", "up": 11, "down": 22, "streams": 2, "failures": 0, "peak": 5}]
        )

    def test_steps(self) -> None:
        """The same traffic by minute, hour and day; what is before the beginning is not told."""
        it = self.open()
        for ago in (0, MINUTE, HOUR, DAY, 3 * DAY):
            it.add(NOW - ago, [row()])
        found = self.ask(it, since="2h", step="60", by="total")
        self.assertEqual([each["time"] for each in found], [NOW - HOUR, NOW - MINUTE])
        for since, step, wanted in (("2h", "3600", [1, 2]), ("30d", "86400", [1, 1, 3])):
            found = self.ask(it, now=NOW + 60, since=since, step=step, by="total")
            self.assertEqual([each["streams"] for each in found], wanted)

    def test_peaks(self) -> None:
        """A peak of a client, and of all, comes from the rows that say so and is in no sum."""
        it = self.open()
        it.add(NOW, [row("c", "m", peak=3), row("c", "n", peak=4), row("d", "m", peak=1)])
        it.add(NOW, [Row("c", "", 0, 0, 0, 0, 5), Row("d", "", 0, 0, 0, 0, 1), Row(ALL, "", 0, 0, 0, 0, 6)])
        now = NOW + 60

        def peaks(**query: str) -> list[int]:
            return [each["peak"] for each in self.ask(it, now=now, since="1h", **query)]

        self.assertEqual(peaks(), [3, 4, 1])
        self.assertEqual(peaks(by="client"), [5, 1])
        self.assertEqual(peaks(by="total"), [6])
        self.assertEqual(peaks(by="total", client="c"), [5])
        self.assertEqual(peaks(by="total", mapping="m", client="c"), [3])
        self.assertEqual([each["streams"] for each in self.ask(it, now=now, by="total")], [3])
        self.assertEqual(self.ask(it, now=now, client="x"), [])

    def test_mode(self) -> None:
        """Who visits whom is nobody else's business."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.open().add(NOW, [row()])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
        self.assertEqual(set(modes.values()), {0o600}, modes)
        self.assertIn("usage-server.db-wal", modes)

    def test_read_beside(self) -> None:
        """It can be read while it is written, and nothing can be written by who reads."""
        it = self.open()
        it.add(NOW, [row()])
        reader = connect(self.path, write=False)
        self.addCleanup(reader.close)
        self.assertEqual(len(answer(reader, question({}, NOW + 60), NOW + 60)["usage"]), 1)
        self.assertRaises(sqlite3.OperationalError, reader.execute, "DELETE FROM flow")

    def test_moved_away(self) -> None:
        """Whether the file is still the one of that name is known."""
        it = self.open()
        self.assertTrue(it.in_place)
        os.rename(self.path, self.path + ".old")
        self.assertFalse(it.in_place)


class BoundTests(FileCase):
    """It never grows without end."""

    def test_age(self) -> None:
        """Minutes go after two days, hours after five weeks, days when the configuration says so."""
        it = self.open()
        for days in (1, 3, 40, 500):
            it.add(NOW - days * DAY, [row(f"c{days}")])
        it.prune(NOW, 400 * DAY, by_age=False)
        self.assertEqual(self.count(it, DAY), 4)
        it.prune(NOW, 400 * DAY, by_age=True)
        self.assertEqual([self.count(it, size) for size in (MINUTE, HOUR, DAY)], [1, 2, 3])
        self.assertEqual(it.connection.execute("SELECT count(*) FROM name").fetchone(), (3,))
        it.prune(NOW, 2 * DAY, by_age=True)
        self.assertEqual([self.count(it, size) for size in (MINUTE, HOUR, DAY)], [1, 1, 1])

    def test_rows(self) -> None:
        """Of too many rows the oldest go, and before them those that a clock gone wrong has written ahead."""
        self.patch(module, "LEVELS", (Level(MINUTE, DAY, 10),))
        it = self.open()
        for minute in range(10):
            it.add(NOW + minute * MINUTE, [row()])
        for year in range(5):
            it.add(NOW + (year + 1) * 365 * DAY, [row()])
        it.prune(NOW, DAY, by_age=False)
        self.assertEqual(self.count(it, MINUTE), 10)
        it.add(NOW + 10 * MINUTE, [row()])
        it.prune(NOW, DAY, by_age=False)
        left = it.connection.execute("SELECT min(time), count(*) FROM flow").fetchone()
        self.assertEqual(left, (NOW + 2 * MINUTE, 9))

    def test_names(self) -> None:
        """What one client calls its mappings takes no place from others, and all of them together have an end."""
        self.patch(module, "MOST_NAMES_OF_CLIENT", 3)
        self.patch(module, "MOST_NAMES", 6)
        it = self.open()
        it.add(NOW, [row("c", f"m{number}") for number in range(10)])
        it.add(NOW, [row("d", "m"), row("e", "m"), row("f", "m"), row(ALL, "")])
        found = {(each["client"], each["mapping"]): each["streams"] for each in self.ask(it, now=NOW + 60)}
        self.assertEqual(found[("c", OTHERS)], 7)
        self.assertEqual(found[("d", "m")], 1)
        self.assertEqual(found[(OTHERS, OTHERS)], 1)
        self.assertEqual(sum(found.values()), 13)

    def test_size(self) -> None:
        """Beyond the size that it may have nothing is written, and what is there stays."""
        self.patch(module, "MOST_BYTES", 16 * module.PAGE)
        it = self.open()
        it.add(NOW, [row()])
        failed = self.assertRaises(Unusable, it.add, NOW, [row("c", "m" * 200 + str(n)) for n in range(5000)])
        self.assertIn("full", str(failed))
        self.assertEqual(len(self.ask(it, now=NOW + 60)), 1)


class NoGoodTests(FileCase):
    """Files that are none of ours."""

    def test_damaged(self) -> None:
        """Garbage, and a file with a hole in it, are told from one that cannot be used right now."""
        Path(self.path).write_bytes(b"no database at all" * 1000)
        self.assertRaises(Damaged, self.open)
        os.unlink(self.path)
        it = self.open()
        it.add(NOW, [row(f"client-{number}") for number in range(2000)])
        it.close()
        with open(self.path, "r+b") as file:
            file.seek(3 * module.PAGE)
            file.write(b"\xa5" * 8 * module.PAGE)
        self.assertRaises(Damaged, self.open)

    def test_foreign(self) -> None:
        """The database of another program, or of a newer gotunnel, is left as it is."""
        other = sqlite3.connect(self.path)
        other.execute("CREATE TABLE mine (x)")
        other.commit()
        other.close()
        before = Path(self.path).read_bytes()
        self.assertIn("another program", str(self.assertRaises(Unusable, self.open)))
        self.assertEqual(Path(self.path).read_bytes(), before)
        os.unlink(self.path)
        it = self.open()
        it.connection.execute("PRAGMA user_version = 2")
        it.close()
        self.assertIn("a newer gotunnel", str(self.assertRaises(Unusable, self.open)))

    def test_no_folder(self) -> None:
        """What the system says is told."""
        self.path = str(self.folder / "none" / "usage.db")
        self.assertIn("No such file", str(self.assertRaises(Unusable, self.open)))
        self.assertIn("No such file", str(self.assertRaises(Unusable, connect, self.path, write=False)))

    def test_odd_name(self) -> None:
        """A path may hold what means something in a URI."""
        self.path = str(self.folder / "a?mode=ro#%41.db")
        self.open().add(NOW, [row()])
        self.assertTrue(os.path.exists(self.path))

    def test_two_slashes(self) -> None:
        """A path may begin with two slashes, which would be a host in a URI: ROOT=/ and $ROOT/state."""
        self.path = "/" + self.path
        self.open().add(NOW, [row()])
        self.assertTrue(os.path.exists(self.path))

    def test_words_for_broken(self) -> None:
        """Python 3.10 does not say which error of SQLite it was: its words do."""

        def fail() -> None:
            with told():
                raise sqlite3.DatabaseError("database disk image is malformed")

        self.assertRaises(Damaged, fail)


class QuestionTests(SynchronousTestCase):
    """What can be asked."""

    def test_refused(self) -> None:
        """An unknown key, and a value that means nothing, are refused with what would be right."""
        for query, words in (
            ({"sinc": "1h"}, "but by since"), ({"since": "yesterday"}, "24h"), ({"until": "-1"}, "Unix seconds"),
            ({"by": "port"}, "mapping, client, total"), ({"step": "61"}, "whole minutes"),
            ({"step": "x"}, "whole number"),
            ({"since": "1h", "until": "2h"}, "not before"), ({"limit": "99999999"}, "50000"),
        ):  # fmt: skip
            self.assertIn(words, str(self.assertRaises(Misasked, question, query, NOW)), query)

    def test_default(self) -> None:
        """The last day by mapping, as one sum."""
        it = question({}, NOW)
        self.assertEqual((it.since, it.until, it.by, it.step), (NOW - DAY, NOW, "mapping", 0))
