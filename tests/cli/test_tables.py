"""What `gotunnel status` shows on terminals of several widths."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.running.tables import _Picture, _Table
from gotunnel.i18n.language import ENGLISH, language

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


class MappingsTests(SynchronousTestCase):
    """The table of mappings."""

    def test_without_tls(self) -> None:
        """What visitors reach outside of TLS says so behind its name, on a terminal of any width, in either language;
        where that is not known, or the process is older than the word, it does not."""
        names = {"web": True, "api": False, "unknown": None}
        mappings = [mapping(name, encrypted=encrypted) for name, encrypted in names.items()]
        mappings += [mapping("db", "forward", encrypted=False), mapping("older")]
        role = {"role": "client"}
        for width, said, marked in (
            (40, ENGLISH, {"api (without TLS)", "db (forward, without TLS)"}),
            (200, language("zh"), {"api (没有 TLS)", "db (正向转发, 没有 TLS)"}),
        ):
            stream = StringIO()
            table = _Picture(said)._mappings({"role": role, "sessions": [{}], "mappings": mappings})
            Console(file=stream, width=width).print(table)
            shown = stream.getvalue()
            self.assertEqual(shown.count("TLS"), 2, shown)
            if width > 100:
                for words in marked:
                    self.assertIn(words, shown)

    def test_words_that_rich_knows(self) -> None:
        """Addresses of IPv6 and names are shown as they are, also where rich has a meaning for them."""
        rows = [mapping(name, address="[fd00::1]:443", target="[fe80::1]:80") for name in ("[red]a[/red]", ":key:")]
        stream = StringIO()
        table = _Picture(ENGLISH)._mappings({"role": {"role": "client"}, "sessions": [{}], "mappings": rows})
        Console(file=stream, width=200).print(table)
        for word in ("[red]a[/red] ", ":key: ", "[fd00::1]:443", "[fe80::1]:80"):
            self.assertIn(word, stream.getvalue())


    def test_brackets(self) -> None:
        """Addresses and names stand there as they are, whatever they mean to who draws the tables."""
        rows = [mapping("[/nothing]", address="[fe80::1]:28005"), mapping("[red]:smile:", address="[fd00::7]:80")]
        stream = StringIO()
        table = _Picture(ENGLISH)._mappings({"role": {"role": "server"}, "sessions": [{}], "mappings": rows})
        Console(file=stream, width=200).print(table)
        stream_rows = [{"conn": "c-1", "client": "[b]", "mapping": "m", "visitor": "[fd00::5]:1", "state": "open",
                        "age": 1.0, "up": 0, "down": 0}]  # fmt: skip
        Console(file=stream, width=200).print(_Picture(ENGLISH)._streams(stream_rows))
        for words in ("[/nothing]", "[fe80::1]:28005", "[red]:smile:", "[fd00::7]:80", "[b]", "[fd00::5]:1"):
            self.assertIn(words, stream.getvalue())


def mapping(name: str, kind: str = "mapping", **more: Any) -> dict[str, Any]:
    """Return one as a process tells it."""
    return {
        "name": name, "kind": kind, "client": "edge", "server": None, "state": "open", "address": "0.0.0.0:1",
        "target": None, "streams": 0, "ended": 0, "up": 0, "down": 0, "reason": "", "age": None, **more,
    }  # fmt: skip
