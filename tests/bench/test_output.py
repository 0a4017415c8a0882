"""What a reader sees: the tables and the picture."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from bench.picture import picture
from bench.report import Report
from bench.table import columns, limits, tables
from tests.bench.samples import report

SVG = "{http://www.w3.org/2000/svg}"


class TableTests(SynchronousTestCase):
    """The text."""

    def test_cells(self) -> None:
        """A cell has the median and the ratio; figures that were not taken have no table."""
        text = tables(report())
        (line,) = [line for line in text.splitlines() if "TLS legs" in line and "0.75" in line]
        self.assertEqual(line.split(), ["gotunnel,", "TLS", "legs", "450", "0.75"])
        self.assertNotIn("upload", text)

    def test_missing_cell(self) -> None:
        """A subject without a sample has a dash, not a nought."""
        made = report()
        made.add("naive", {"connection": 900.0})
        (line,) = [line for line in tables(made).splitlines() if "TLS legs" in line and "0.75" in line]
        self.assertEqual(line.split()[-1], "–")

    def test_aligned(self) -> None:
        """Every line is as wide as the widest cells say."""
        lines = columns([["", "b"], ["long name", "1,000"], ["x", "2"]]).splitlines()
        self.assertEqual(lines, ["                 b", "  long name  1,000", "  x              2"])

    def test_limits(self) -> None:
        """The marks, and how many."""
        text = limits(report())
        self.assertIn("Limits: 2 of 4 met", text)
        (line,) = [line for line in text.splitlines() if "round trip" in line]
        cells = " ".join(line.split("ratio to naive")[1].split())
        self.assertEqual(cells, "0.65 ≤ 0.60 NOT MET 0.75 ≤ 1.00 met")

    def test_nothing_to_judge(self) -> None:
        """Without gotunnel there is no list of limits."""
        self.assertEqual(limits(Report("", "", "", {})), "")


class PictureTests(SynchronousTestCase):
    """The SVG."""

    def setUp(self) -> None:
        self.root = ElementTree.fromstring(picture(report()))
        self.width, self.height = (float(self.root.attrib[name]) for name in ("width", "height"))

    def test_well_formed(self) -> None:
        """It is SVG, and what came from the machine is escaped."""
        self.assertEqual(self.root.tag, f"{SVG}svg")
        words = " ".join(self.root.itertext())
        for expected in ("2 × <fast> & old", "2026-01-02 03:04 UTC", "python -m bench", "gotunnel 2.0", "450 · 0.75×"):
            self.assertIn(expected, words)

    def test_inside(self) -> None:
        """Nothing lies outside of the drawing, and no bar has a negative length."""
        for bar in self.root.iter(f"{SVG}rect"):
            x, y, width, height = (float(bar.attrib.get(name, 0)) for name in ("x", "y", "width", "height"))
            self.assertGreater(width, 0)
            self.assertTrue(0 <= x <= x + width <= self.width and 0 <= y <= y + height <= self.height, bar.attrib)
        for text in self.root.iter(f"{SVG}text"):
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            self.assertTrue(0 <= x < self.width and 0 < y < self.height, text.attrib)

    def test_lengths(self) -> None:
        """Bars are to scale."""
        tips = {bar.findtext(f"{SVG}title"): float(bar.attrib["width"]) for bar in self.root.iter(f"{SVG}rect")}
        self.assertApproximates(
            tips["gotunnel, TLS legs: 450 · 0.75×"] / tips["naive pair, plain: 600 · 1.00×"], 0.75, 0.01
        )

    def test_curve(self) -> None:
        """Growth is a line with a point for every level."""
        lines = [line.attrib["points"].split() for line in self.root.iter(f"{SVG}polyline")]
        self.assertEqual(len([points for points in lines if len(points) == 4]), 3)

    def test_empty(self) -> None:
        """A run that found nothing still has a picture."""
        ElementTree.fromstring(picture(Report("", "", "", {})))
