"""Lines and tables of characters of which some are two columns wide."""

from __future__ import annotations

from rich.cells import cell_len
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.i18n.columns import cells, table, wrapped


class ColumnTests(SynchronousTestCase):
    """Widths, ends of lines, and columns."""

    def test_cells(self) -> None:
        """A Chinese character and its punctuation are two wide, Latin ones are one."""
        for text, width in (("", 0), ("abc", 3), ("端口", 4), ("（a）。", 7)):
            self.assertEqual((cells(text), cell_len(text)), (width, width), text)

    def test_ends(self) -> None:
        """A line ends beside a Chinese character or at a space: never within a word of Latin letters, ahead of a mark
        that closes, or behind one that opens."""
        for text, width, lines in (
            ("把端口发布", 6, ["把端口", "发布"]),
            ("把端口。发布", 6, ["把端", "口。发", "布"]),
            ("把端（口）", 6, ["把端", "（口）"]),
            ("用 --log-format 写", 8, ["用", "--log-format", "写"]),
            ("用 `a b` 写", 5, ["用 `a", "b` 写"]),
            ("端口 [默认：8]", 8, ["端口 [默", "认：8]"]),
            ("a  b\n c", 9, ["a b c"]),
            ("", 9, [""]),
        ):
            self.assertEqual(wrapped(text, width), lines)

    def test_table(self) -> None:
        """Descriptions stand below each other, a term too long for its column above its own."""
        rows = [("-a", "端口端口"), ("名字", "b"), ("--long-one", "c"), ("-d", "")]
        self.assertEqual(
            list(table(rows, 18, 4)),
            ["  -a    端口端口", "  名字  b", "  --long-one", "        c", "  -d"],
        )
        self.assertEqual(list(table([("-a", "端口端口端口")], 16, 9)), ["  -a  端口端口端", "      口"])
