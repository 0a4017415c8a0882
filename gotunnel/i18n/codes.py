"""The number of each log line. It stays when the words change, so that documents, alerts and people can refer to it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

__all__ = ["FILE", "code_of", "load_codes", "numbers"]

FILE = Path(__file__).with_name("codes.txt")


def numbers(text: str) -> dict[str, int]:
    """Return numbers by format, from lines of `number format`. A line that starts with # is a comment."""
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {format: int(number) for number, _, format in lines}


@lru_cache
def load_codes() -> dict[str, int]:
    """Return all numbers; the file is read once."""
    return numbers(FILE.read_text("utf-8"))


def code_of(format: str) -> int | None:
    """Return the number of a log line by its English format; None if it is not ours."""
    return load_codes().get(format)
