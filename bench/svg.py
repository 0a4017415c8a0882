"""A few shapes of SVG, written as text: rectangles, lines, words. Knows nothing of benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

__all__ = ["Canvas"]

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


class Canvas:
    """A drawing with a white ground, so that it reads on a dark page too. Lengths are pixels."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []

    def text(
        self, x: float, y: float, words: str, *, size: int = 12, colour: str = "#1f2328", bold: bool = False,
        anchor: str = "start",
    ) -> None:  # fmt: skip
        """Write words; (x, y) is the left, middle or right end (`anchor`) of their base line."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill={quoteattr(colour)} '
            f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str, tip: str = "") -> None:
        """Draw a filled rectangle; `tip` shows when the pointer rests on it."""
        inside = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" '
            f'fill={quoteattr(colour)} rx="2">{inside}</rect>'
        )

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.0) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke={quoteattr(colour)} stroke-width="{width}" '
            'stroke-linejoin="round"/>'
        )

    def dot(self, x: float, y: float, colour: str, tip: str = "") -> None:
        """Draw a small disc."""
        inside = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill={quoteattr(colour)}>{inside}</circle>')

    def finish(self, width: float, height: float) -> str:
        """Return the document."""
        size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}" role="img">'
        ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
        return "\n".join([head, f"<title>{escape(self._title)}</title>", ground, *self._parts, "</svg>"]) + "\n"
