"""`gotunnel usage` without a process: what it makes of a file."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from click.testing import Result
from rich.cells import cell_len
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from gotunnel.cli.running import past
from gotunnel.cli.running.asking import Unasked
from gotunnel.cli.running.pasttable import MOST_ROWS, picture
from gotunnel.history.sample import ALL, Row
from gotunnel.history.store import Store
from tests.cli.runner import Runner

HOUR = 3600


class PastTests(SynchronousTestCase):
    """A server's file, in a state folder where nothing runs."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()
        self.state.mkdir(parents=True)
        self.now = int(time.time())
        store = Store(str(self.state / "usage-server.db"))
        for ago, failures in ((3, 0), (1, 1)):
            rows = [Row("w1", "=web", 10, 2048, 1, failures, 1), Row("w2", "api", 1, 1, 1, 0, 1)]
            store.add(self.now - ago * HOUR, [*rows, Row(ALL, "", 0, 0, 0, 0, 2)])
        store.close()

    def run_it(self, *words: str) -> Result:
        """Run the command with this folder."""
        return Runner().invoke(main, ["usage", "--state", str(self.state), *words])

    def test_table(self) -> None:
        """Mappings with most bytes first, and a sum below; the hour in which nobody came is to be seen."""
        lines = self.run_it().stdout.splitlines()
        self.assertIn("MAPPING", lines[2])
        self.assertIn("AT ONCE", lines[2])
        self.assertRegex(lines[4], r"^=web +w1 +2 +1 +1 +20 B +4 KiB +█+")
        self.assertRegex(lines[5], r"^api +w2 +2 +1 +2 B +2 B +▏")
        self.assertRegex(lines[-1], r"^all +4 +1 +22 B +4 KiB")
        hours = [line for line in self.run_it("--by", "hour").stdout.splitlines() if line.startswith("20")]
        self.assertEqual(len(hours), 3)
        self.assertRegex(hours[1], r":00 +0 +0 +0 B +0 B *$")
        self.assertIn("nobody has visited", self.run_it("--client", "none").stdout)

    def test_many_steps(self) -> None:
        """Of many steps the latest are shown, and how many earlier ones there are with visitors."""
        store = Store(str(self.state / "usage-server.db"))
        now = self.now - self.now % 60 - 12 * HOUR
        for minute in (-2, -1, 0):
            store.add(now + 60 * minute, [Row("w1", "early", 1, 1, 1, 0, 1)])
        store.add(now + 60 * MOST_ROWS, [Row("w1", "early", 1, 1, 1, 0, 1)])
        store.close()
        lines = self.run_it("--by", "minute", "--mapping", "early").stdout.splitlines()
        self.assertEqual(len([line for line in lines if line.startswith("20")]), MOST_ROWS)
        self.assertEqual(lines[-1], "… and 3 more; --csv and --json have all of them")

    def test_narrow(self) -> None:
        """A narrow terminal leaves out figures, so that names can be read."""
        (told,) = json.loads(self.run_it("--json").stdout)
        for width, titles in (
            (100, ["MAPPING", "CLIENT", "VISITORS", "FAILED", "AT", "ONCE", "UP", "DOWN"]),
            (60, ["MAPPING", "CLIENT", "VISITORS", "UP", "DOWN"]), (40, ["MAPPING", "CLIENT", "UP", "DOWN"]),
        ):  # fmt: skip
            stream = StringIO()
            Console(file=stream, width=width).print(picture(told))
            lines = [line.rstrip() for line in stream.getvalue().splitlines()]
            self.assertLessEqual(max(map(cell_len, lines)), width)
            (top,) = (number for number, line in enumerate(lines) if "MAPPING" in line)
            self.assertEqual(lines[top].split(), titles)
            self.assertEqual(lines[top + 2].split()[:2], ["=web", "w1"])

    def test_encoding(self) -> None:
        """A terminal that has no bars gets something else in their place, and no traceback."""
        done = Runner(charset="latin-1").invoke(main, ["usage", "--state", str(self.state)])
        self.assertEqual(done.exit_code, 0, done.exception)
        self.assertIn("=web", done.stdout)

    def test_words_that_rich_knows(self) -> None:
        """What a forward or a node is counted under is shown whole, an address of IPv6 among it."""
        store = Store(str(self.state / "usage-server.db"))
        store.add(self.now, [Row("[red]w3", "[fd00::1]:10250 [/x]", 1, 1, 1, 0, 1), Row("w4", ":key:", 1, 1, 1, 0, 1)])
        store.close()
        shown = self.run_it().stdout
        for word in ("[red]w3 ", "[fd00::1]:10250 [/x]", ":key: "):
            self.assertIn(word, shown)

    def test_csv(self) -> None:
        """Times are UTC, and a name that a spreadsheet would compute is text."""
        found = self.run_it("--csv", "--by", "hour", "--by", "mapping", "--client", "w1").stdout.splitlines()
        self.assertEqual(len(found), 3)
        self.assertRegex(found[1], r"^server,\d{4}-\d\d-\d\dT\d\d:00:00Z,w1,'=web,10,2048,1,0,1$")

    def test_times(self) -> None:
        """A date of this machine is taken as well as a length of time, and what is neither is refused."""
        date = datetime.fromtimestamp(self.now - 2 * HOUR).isoformat()
        (found,) = json.loads(self.run_it("--since", date, "--by", "total", "--json").stdout)
        self.assertEqual([each["streams"] for each in found["usage"]], [2])
        for wrong in (("--since", "soon"), ("--by", "hour", "--by", "day"), ("--json", "--csv"), ("--by", "port")):
            self.assertEqual(self.run_it(*wrong).exit_code, 2, wrong)
        refused = self.run_it("--since", "1h", "--until", "2h")
        words = "since (24h, unless it is given) is not before until: give it an earlier time, or until a later one"
        self.assertEqual((refused.exit_code, refused.stderr), (1, f"gotunnel: {self.state}/usage-server.db: {words}\n"))
        for until in ((), ("--until", "2100-01-01")):
            refused = self.run_it("--since", "2099-01-01", *until)
            self.assertEqual((refused.exit_code, refused.stderr.count("\n")), (1, 1))
            self.assertIn("since is in the future, where nothing can be yet: give a time that is past", refused.stderr)

    def test_times_far_away(self) -> None:
        """A time long before there was any traffic, or long after now, is one."""
        for words in (
            ("--since", "1960-01-01"), ("--since", "9999999w"), ("--until", "9" * 12), ("--until", "9999-12-31"),
        ):  # fmt: skip
            done = self.run_it(*words)
            self.assertEqual((done.exit_code, done.stderr), (0, ""), words)
            self.assertIn("=web", done.stdout)

    def test_no_text(self) -> None:
        """A name in another encoding than that of this machine is one that nobody has."""
        for option in ("--client", "--mapping"):
            done = self.run_it(option, "caf\udce9")
            self.assertEqual(done.exit_code, 0, done.exception)
            self.assertIn("nobody has visited", done.stdout)

    def test_no_good(self) -> None:
        """A file that is none is told in one line, and left as it is."""
        path = self.state / "usage-server.db"
        path.write_bytes(b"garbage" * 1000)
        done = self.run_it()
        self.assertEqual((done.exit_code, done.stderr.count("\n")), (1, 1))
        self.assertIn("not a database", done.stderr)
        self.assertEqual(path.read_bytes(), b"garbage" * 1000)

    def test_locked(self) -> None:
        """One that another program has locked is told in one line, and soon: somebody waits for it."""
        path = self.state / "usage-server.db"
        other = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        done = self.run_it()
        self.assertLess(time.monotonic() - begun, 2)
        words = f"gotunnel: {path}: another program has locked it; when that is done it works again\n"
        self.assertEqual((done.exit_code, done.stderr), (1, words))
        other.execute("COMMIT")
        other.close()
        self.assertEqual(self.run_it().exit_code, 0)

    def test_one_keeps_none(self) -> None:
        """A process without a history is told of, and those that have one are shown; where none has it fails."""

        class Off:
            def get(self, path: str, **query: str) -> dict[str, Any]:
                raise Unasked("no history of traffic is kept here")

        class On:
            def get(self, path: str, **query: str) -> dict[str, Any]:
                return {"role": "server", "name": "here", "since": 0, "until": 1, "step": 0, "by": "total",
                        "more": False, "usage": []}  # fmt: skip

        self.patch(past, "found", lambda where, **_: [Off(), On()])
        done = self.run_it()
        self.assertEqual((done.exit_code, done.stderr), (0, "gotunnel: no history of traffic is kept here\n"))
        self.assertIn("gotunnel server here", done.stdout)
        self.patch(past, "found", lambda where, **_: [Off(), Off()])
        self.assertEqual(self.run_it().exit_code, 1)
