"""Runs one target over its corpus and what is made of it, for a time or a number of inputs, and keeps what it finds."""

from __future__ import annotations

import hashlib
import importlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tests.fuzz.mutator import mutations

__all__ = ["FOLDER", "NAMES", "Found", "corpus", "quiet", "target", "try_for", "try_inputs", "try_some", "with_atheris"]

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in (FOLDER / "targets").glob("[a-z]*.py"))
Attempt = Callable[[bytes], None]


class Found(Exception):
    """An input that makes a target raise; the text names the file that holds it."""


def target(name: str) -> Attempt:
    """Return a target's `attempt`."""
    module: Any = importlib.import_module(f"tests.fuzz.targets.{name}")
    attempt: Attempt = module.attempt
    return attempt


def corpus(name: str) -> list[bytes]:
    """Return the committed inputs of a target, in the order of their names."""
    return [path.read_bytes() for path in sorted((FOLDER / "corpus" / name).iterdir())]


def quiet() -> None:
    """Keep Twisted from writing what targets log; an error that is logged and not raised is still a finding."""
    from twisted.logger import LogEvent, globalLogBeginner

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            raise event["log_failure"].value

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)


def try_inputs(name: str, attempt: Attempt, inputs: Iterator[bytes], findings: Path) -> int:
    """Try inputs until there are no more; return how many there were. Raises Found."""
    count = 0
    for data in inputs:
        try:
            attempt(data)
        except Exception as error:
            findings.mkdir(parents=True, exist_ok=True)
            path = findings / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            trace = "".join(traceback.format_exception(error))
            raise Found(f"{name}: {path} makes it raise:\n{trace}") from error
        count += 1
    return count


def try_for(name: str, seconds: float, seed: int, findings: Path) -> int:
    """Try the corpus and seeded mutations of it for some time; return how many inputs there were. Raises Found."""
    end = time.monotonic() + seconds

    def inputs() -> Iterator[bytes]:
        known = corpus(name)
        for number, data in enumerate(mutations(known, seed)):
            if number >= len(known) and time.monotonic() > end:
                return
            yield data

    return try_inputs(name, target(name), inputs(), findings)


def try_some(name: str, count: int, seed: int, findings: Path) -> int:
    """Try the corpus and so many mutations of it. Raises Found."""
    known = corpus(name)
    return try_inputs(name, target(name), islice(mutations(known, seed), len(known) + count), findings)


def with_atheris(name: str, seconds: float, seed: int, findings: Path) -> None:
    """The same with atheris, guided by coverage. Ends the process: with 0 when nothing was found."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["gotunnel"]):
        attempt = target(name)
    findings.mkdir(parents=True, exist_ok=True)
    grown = findings / f"grown-{name}"
    grown.mkdir(exist_ok=True)
    options = {
        "max_total_time": max(1, round(seconds)),
        "seed": seed,
        "artifact_prefix": f"{findings}/{name}-",
        "timeout": 10,
        "rss_limit_mb": 1024,
        "print_final_stats": 1,
    }
    folders = str(grown), str(FOLDER / "corpus" / name)  # the first is written to
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), *folders], attempt)
    atheris.Fuzz()
