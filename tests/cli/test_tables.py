"""What `gotunnel status` shows on terminals of several widths."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.running.tables import _Table

TITLES = ("MAPPING", "SERVER", "STATE", "AT", "TARGET", "VISITORS", "SERVED", "UP", "DOWN", "WHY")
REASON = "not connected to the server tunnel.example.com:17000: connection refused"
ROWS = [
    ("web-of-the-office", "", "away", "", "127.0.0.1:8000", "0", "0", "0 B", "0 B", Text(REASON)),
    ("api", "", "open", "0.0.0.0:6443", "127.0.0.1:6443", "3", "1200", "12.1 MiB", "3.2 GiB", Text("")),
]


class TableTests(SynchronousTestCase):
    """Names and reasons can be read at any width, and nothing of them is lost."""

    def shown(self, width: int) -> list[str]:
        """Return the lines."""
        stream = StringIO()
        Console(file=stream, width=width).print(_Table(TITLES, ROWS))
        return stream.getvalue().splitlines()

    def test_wide(self) -> None:
        """With room there is a line for each, and no column that is empty."""
        lines = self.shown(200)
        self.assertEqual(len(lines), 4)
        self.assertNotIn("SERVER", lines[0])
        self.assertIn(REASON, lines[2])

    def test_narrow(self) -> None:
        """Without room figures go first; the reason is broken between its words, and all of it is there."""
        lines = self.shown(80)
        self.assertEqual(lines[0].split(), ["MAPPING", "STATE", "AT", "VISITORS", "WHY"])
        self.assertLess(len(lines), 9)
        self.assertLessEqual(max(map(len, lines)), 80)
        at = lines[0].index("WHY")
        self.assertEqual("".join(line[at:].strip() for line in lines[2:-1]).replace(" ", ""), REASON.replace(" ", ""))

    def test_hardly_any_room(self) -> None:
        """Even then nothing of a reason is lost."""
        lines = self.shown(40)
        self.assertLessEqual(max(map(len, lines)), 40)
        at = lines[0].index("WHY")
        self.assertEqual("".join(line[at:].strip() for line in lines[2:-1]).replace(" ", ""), REASON.replace(" ", ""))
