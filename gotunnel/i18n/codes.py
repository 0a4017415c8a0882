"""The number of each log line: it stays when the words change, so that documents, alerts and people can name it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

__all__ = ["FILE", "code_of", "load_codes", "numbers"]

FILE = Path(__file__).with_name("codes.txt")


def numbers(text: str) -> dict[str, int]:
    """Return the numbers by the formats, from lines of `number format`; one that starts with # is a comment."""
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {format: int(number) for number, _, format in lines}


@lru_cache
def load_codes() -> dict[str, int]:
    """Return all numbers, read from the file the first time."""
    return numbers(FILE.read_text("utf-8"))


def code_of(format: str) -> int | None:
    """Return the number of a log line by its English format, None for what is none of ours."""
    return load_codes().get(format)
