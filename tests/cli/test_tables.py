"""What `gotunnel status` shows on terminals of several widths."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.running.tables import _Picture, _Table
from gotunnel.i18n.language import ENGLISH, Language, language

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


class SessionsTests(SynchronousTestCase):
    """The table of clients or servers."""

    def shown(self, *sessions: dict[str, Any], said: Language = ENGLISH, width: int = 200) -> list[str]:
        """Return the lines."""
        stream = StringIO()
        table = _Picture(said)._sessions({"role": {"role": "server"}, "sessions": sessions})
        Console(file=stream, width=width).print(table)
        return [line.rstrip() for line in stream.getvalue().splitlines()]

    def test_nodes(self) -> None:
        """The nodes of a client are in its line, the first few of many; where nobody announces any, or the process is
        older than that, there is no such column."""
        forty = [f"10.200.0.{number}" for number in range(1, 41)]
        head, _, *rows = self.shown(
            session("none"), session("one", nodes=["n-1"]), session("forty", nodes=forty), session("[b]", nodes=["[b]"])
        )
        self.assertEqual(len(rows), 4)
        at = head.index("NODES")
        self.assertEqual([row[at:] for row in rows],
                         ["", "n-1", "10.200.0.1, 10.200.0.2, 10.200.0.3 and 37 more", "[b]"])  # fmt: skip
        for sessions in ([session("none", nodes=[], refused_nodes={})], [session("older")]):
            self.assertNotIn("NODES", self.shown(*sessions)[0])

    def test_refused_nodes(self) -> None:
        """The nodes that are refused are behind the reason why it is not connected, with a reason of their own."""
        why = "its allow_nodes on the server does not name it"
        many = dict.fromkeys(("n-1", "n-2", "n-3", "n-4"), why)
        head, _, *rows = self.shown(
            session("one", refused_nodes={"n-1": why}), session("many", reason="it is away", refused_nodes=many),
            session("well"), width=240,
        )  # fmt: skip
        at = head.index("WHY")
        self.assertNotIn("NODES", head)
        self.assertEqual([row[at:] for row in rows], [
            f"nodes refused: n-1 ({why})", f"it is away; nodes refused: n-1, n-2, n-3 and 1 more ({why})", "",
        ])  # fmt: skip
        lines = self.shown(session("one", nodes=["n-1"] * 5, refused_nodes=many), said=language("zh"))
        self.assertIn("n-1, n-1, n-1 以及另外 2 个", lines[2])
        self.assertIn("被拒绝的节点：n-1, n-2, n-3 以及另外 1 个（服务端上它的 allow_nodes", lines[2])

    def test_nodes_on_a_narrow_terminal(self) -> None:
        """What is refused, and why, can be read there, too."""
        lines = self.shown(
            session("worker-1", nodes=["worker-1", "10.200.0.11"], refused_nodes={"10.200.0.12": "because"}), width=80
        )
        self.assertLessEqual(max(map(len, lines)), 80)
        at = lines[0].index("WHY")
        words = " ".join(line[at:].strip() for line in lines[2:])
        self.assertEqual(words.replace(" ", ""), "nodesrefused:10.200.0.12(because)")


def session(name: str, **more: Any) -> dict[str, Any]:
    """Return one as a process tells it; one that is older does not know of nodes."""
    return {
        "name": name, "address": "192.0.2.1:1", "state": "connected", "age": 7000.0, "round_trip": 0.02,
        "pong_age": 1.0, "mappings": 3, "streams": 0, "pending": 0, "legs": {"idle": 2, "busy": 0}, "reason": "",
        **more,
    }  # fmt: skip


def mapping(name: str, kind: str = "mapping", **more: Any) -> dict[str, Any]:
    """Return one as a process tells it."""
    return {
        "name": name, "kind": kind, "client": "edge", "server": None, "state": "open", "address": "0.0.0.0:1",
        "target": None, "streams": 0, "ended": 0, "up": 0, "down": 0, "reason": "", "age": None, **more,
    }  # fmt: skip
