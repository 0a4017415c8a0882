"""Shows where a tunnel's CPU goes during one measure: system calls (strace), functions (cProfile), symbols (perf).

    python -m bench.profile round-trip --subject plain --with strace cprofile perf

Each tool runs in a pass of its own, since each slows what it looks at. None of them tells a cost: `bench` does.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import AT_ONCE
from bench.lenses import LENSES, Lens
from bench.ours import ours
from bench.peers import PEERS
from bench.process import BenchError, LoadProcess, Processes
from bench.scale import FULL, fit
from bench.subject import start

__all__ = ["WORK", "Work", "main"]


@dataclass(frozen=True)
class Work:
    """One measure without its figures: what is done before, what is watched, and what one of it is called."""

    unit: str
    count: int
    before: Callable[[LoadProcess, int], Any]
    watched: Callable[[LoadProcess, int, int], dict[str, Any]]


def _open(connections: int, mode: str = "E") -> Callable[[LoadProcess, int], Any]:
    return lambda load, port: load.ask(
        "knock", port=port, count=connections, at_once=min(connections, 16), seconds=10, keep="work", mode=mode
    )


def _exchange(connections: int) -> Callable[[LoadProcess, int, int], dict[str, Any]]:
    return lambda load, port, count: load.ask(
        "exchange", group="work", count=max(1, count // connections), size=64, seconds=60
    )


def _warm(at_once: int) -> Callable[[LoadProcess, int], Any]:
    return lambda load, port: load.ask("knock", port=port, count=2 * at_once, at_once=at_once, seconds=10)


def _knock(at_once: int) -> Callable[[LoadProcess, int, int], dict[str, Any]]:
    return lambda load, port, count: load.ask("knock", port=port, count=count, at_once=at_once, seconds=60)


def _transfer(direction: str) -> Callable[[LoadProcess, int, int], dict[str, Any]]:
    def transfer(load: LoadProcess, port: int, count: int) -> dict[str, Any]:
        answer = load.ask(direction, group="work", size=count * 1_000_000)
        return {**answer, "done": answer["done"] / 1_000_000}

    return transfer


WORK = {
    "round-trip": Work("round trip", 3000, _open(1), _exchange(1)),
    "round-trip-64": Work("round trip", 6400, _open(64), _exchange(64)),
    "connection": Work("connection", 500, _warm(1), _knock(1)),
    "connection-16": Work("connection", 800, _warm(AT_ONCE), _knock(AT_ONCE)),
    "download": Work("MB", 500, _open(1, "D"), _transfer("download")),
    "upload": Work("MB", 500, _open(1, "U"), _transfer("upload")),
}
"""By the name on the command line."""


def main(words: Sequence[str] | None = None) -> int:
    """Run; return the exit code."""
    subjects = {each.name: each for each in (*ours(), *PEERS)}
    options = _options(list(subjects)).parse_args(words)
    fit(FULL)
    work = WORK[options.measure]
    for name in options.tools:
        lens = LENSES[name]
        if lens.program is not None and shutil.which(lens.program) is None:
            sys.stdout.write(f"{name}: {lens.program} is not installed\n")
            continue
        with tempfile.TemporaryDirectory(prefix="gotunnel-profile.") as folder:
            try:
                text = _look(lens, subjects[options.subject], work, options.count or work.count, Path(folder))
            except BenchError as error:
                text = f"{error}\n"
        sys.stdout.write(f"== {options.subject}, {options.measure}, {name}\n{text}\n")
        sys.stdout.flush()
    return 0


def _options(subjects: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.profile", description="Where the CPU goes during a measure.")
    parser.add_argument("measure", choices=list(WORK))
    parser.add_argument("--subject", choices=subjects, default="tls", help="default: %(default)s")
    parser.add_argument("--with", dest="tools", nargs="+", choices=list(LENSES), default=list(LENSES))
    parser.add_argument("--count", type=int, help="how many round trips, connections or megabytes")
    return parser


def _look(lens: Lens, subject: Any, work: Work, count: int, folder: Path) -> str:
    with Processes(folder) as processes:
        target = processes.talk("target")
        assert target.stdout is not None
        port = int(target.stdout.readline())
        load = LoadProcess(processes)
        tunnel = start(lens.prepare(subject, folder), processes, port)
        work.before(load, tunnel.public)
        tunnel.cpu()
        pids = {role: tunnel.pids(role) for role in tunnel.running}
        seen = lens.watch(processes, folder, pids)
        done = work.watched(load, tunnel.public, count)["done"]
        tunnel.cpu()
        return lens.text(seen(), done, work.unit)


if __name__ == "__main__":
    sys.exit(main())
