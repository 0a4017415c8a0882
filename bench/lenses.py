"""The tools that `bench.profile` looks through, each as three steps: prepare a tunnel, watch it, put into words."""

from __future__ import annotations

import os
import pstats
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.ours import entry
from bench.process import BenchError, Processes
from bench.subject import Place, Role, Subject
from bench.table import columns

__all__ = ["LENSES", "Lens", "call_counts", "calls_table", "symbol_lines"]

_TOP = 14
_PATIENCE = 20.0
_PERF_START = 0.7
"""Seconds; perf does not say when it looks."""

Pids = Mapping[str, Sequence[int]]
"""By role."""


@dataclass(frozen=True)
class Lens:
    """`watch` begins to look and returns what ends it; that returns what was seen, by role."""

    program: str | None
    prepare: Callable[[Subject, Path], Subject]
    watch: Callable[[Processes, Path, Pids], Callable[[], dict[str, str]]]
    text: Callable[[dict[str, str], float, str], str]


def _unchanged(subject: Subject, folder: Path) -> Subject:
    return subject


def _attach(
    processes: Processes, commands: Mapping[str, Sequence[str | Path]], ready: str
) -> Callable[[], None]:
    """Start tools that attach to a tunnel, and return what ends them."""
    running = {role: processes.spawn(command) for role, command in commands.items()}
    until = time.monotonic() + _PATIENCE
    for process in running.values():
        log = processes.log_of(process)
        while not re.search(ready, log.read_text()):
            if process.poll() is not None or time.monotonic() > until:
                raise BenchError(log.read_text().strip() or "the tool did not start")
            time.sleep(0.02)

    def end() -> None:
        for process in running.values():
            process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE)

    return end


# strace: counts of system calls.


def _strace(processes: Processes, folder: Path, pids: Pids) -> Callable[[], dict[str, str]]:
    files = {role: folder / f"{role}.calls" for role in pids}
    commands: dict[str, list[str | Path]] = {
        role: ["strace", "-c", "-f", "-o", files[role], *(word for pid in each for word in ("-p", str(pid)))]
        for role, each in pids.items()
    }
    end = _attach(processes, commands, "attached")

    def seen() -> dict[str, str]:
        end()
        return {role: path.read_text() for role, path in files.items()}

    return seen


def call_counts(summary: str) -> dict[str, int]:
    """Read what `strace -c` prints: calls by name, without the total."""
    found = {}
    for line in summary.splitlines():
        # % time, seconds, usecs/call, calls, errors (may be absent), name
        matched = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w*)$", line)
        if matched is not None and matched[2] != "total":
            found[matched[2]] = int(matched[1])
    return found


def calls_table(seen: Mapping[str, str], done: float, unit: str) -> str:
    """Return the system calls of each role for one of `unit`, the most frequent first."""
    counts = {role: call_counts(summary) for role, summary in seen.items()}
    total = {name: sum(each.get(name, 0) for each in counts.values()) for each in counts.values() for name in each}
    names = [name for name in sorted(total, key=lambda name: -total[name]) if total[name] / done >= 0.005]
    rows = [[f"system calls per {unit}", *counts, "both"]]
    rows += [
        [name, *(f"{each.get(name, 0) / done:.2f}" for each in counts.values()), f"{total[name] / done:.2f}"]
        for name in names
    ]
    sums = [f"{sum(each.values()) / done:.2f}" for each in counts.values()]
    rows.append(["all", *sums, f"{sum(total.values()) / done:.2f}"])
    return columns(rows) + "\n"


# cProfile: Python's functions. Only what runs `gotunnel.cli.roles` can be started so.


def _traced(subject: Subject, folder: Path) -> Subject:
    def roles(place: Place) -> list[Role]:
        return [_traced_role(role, folder) for role in subject.roles(place)]

    return replace(subject, roles=roles)


def _traced_role(role: Role, folder: Path) -> Role:
    start = entry(role.name)
    if list(role.command[: len(start)]) != start:
        raise BenchError("cProfile sees gotunnel only")
    words = [start[0], "-m", "bench.traced", str(folder / f"{role.name}.prof"), role.name]
    return replace(role, command=[*words, *role.command[len(start) :]])


def _cprofile(processes: Processes, folder: Path, pids: Pids) -> Callable[[], dict[str, str]]:
    def toggle() -> None:
        for each in pids.values():
            os.kill(each[0], signal.SIGUSR1)

    def seen() -> dict[str, str]:
        toggle()
        files = {role: folder / f"{role}.prof" for role in pids}
        until = time.monotonic() + _PATIENCE
        while not all(path.exists() and path.stat().st_size for path in files.values()):
            if time.monotonic() > until:
                raise BenchError("a role wrote no profile")
            time.sleep(0.05)
        time.sleep(0.2)  # the file is written in one go, a moment after it appears
        return {role: str(path) for role, path in files.items()}

    toggle()
    return seen


def _functions(seen: Mapping[str, str], done: float, unit: str) -> str:
    parts = []
    for role, path in seen.items():
        stats: dict[Any, Any] = pstats.Stats(path).stats  # type: ignore[attr-defined]
        # The time in epoll is mostly that of waiting.
        stats = {key: value for key, value in stats.items() if "'poll' of 'select" not in key[2]}
        total = sum(each[2] for each in stats.values())
        calls = [sum(each[1] for key, each in stats.items() if (key[0] == "~") is builtin) for builtin in (False, True)]
        rows = [[f"{role}: functions", "calls", "own time", ""]]
        rows += [
            [name, f"{count / done:.1f}", "", ""]
            for name, count in zip(("all of Python's", "all built-in"), calls, strict=True)
        ]
        for (file, line, name), (_, calls, own, _, _) in sorted(stats.items(), key=lambda item: -item[1][2])[:_TOP]:
            place = name if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} {name}"
            rows.append([place[:76], f"{calls / done:.2f}", f"{own / done * 1e6:.1f} µs", f"{own / total:5.1%}"])
        parts.append(columns(rows))
    return f"per {unit}, without waiting; the time includes what cProfile itself costs\n" + "\n".join(parts) + "\n"


# perf: symbols, the kernel's included.


def _perf(processes: Processes, folder: Path, pids: Pids) -> Callable[[], dict[str, str]]:
    file = folder / "perf.data"
    everyone = ",".join(str(pid) for each in pids.values() for pid in each)
    # A virtual machine has no counter of cycles, but a clock.
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-p", everyone, "-o", str(file)]
    end = _attach(processes, {"all": command}, "")
    time.sleep(_PERF_START)

    def seen() -> dict[str, str]:
        end()
        texts = {}
        for title, keys in (("by library", "dso"), ("by symbol", "dso,symbol")):
            shown = ["perf", "report", "-i", str(file), "--stdio", "--no-children", "-s", keys]
            texts[title] = subprocess.run(shown, capture_output=True, text=True, timeout=60, check=False).stdout
        return texts

    return seen


def symbol_lines(report: str, most: int = _TOP) -> list[str]:
    """Return the lines of `perf report` that name something, without its comments."""
    return [line.rstrip() for line in report.splitlines() if re.match(r"\s+\d+\.\d+%", line)][:most]


def _symbols(seen: Mapping[str, str], done: float, unit: str) -> str:
    return "".join(f"{title}\n" + "\n".join(symbol_lines(text)) + "\n" for title, text in seen.items())


LENSES = {
    "strace": Lens("strace", _unchanged, _strace, calls_table),
    "cprofile": Lens(None, _traced, _cprofile, _functions),
    "perf": Lens("perf", _unchanged, _perf, _symbols),
}
"""By the name that `--with` takes."""
