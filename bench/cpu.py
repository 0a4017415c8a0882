"""What processes have used so far: CPU time of all their threads, and resident memory. Reads only (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cpu_ns", "descendants", "parents", "resident_bytes", "ticks_ns"]

_CPUCLOCK_SCHED = 2
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the nanoseconds of CPU, user and system, of these processes with all their threads, ended ones included.

    Raises ProcessLookupError when one of them is gone.
    """
    return sum(_process_ns(pid) for pid in pids)


def _process_ns(pid: int) -> int:
    # What clock_getcpuclockid(3) returns: the clock of a process is made of its number (linux/posix-timers_types.h).
    # It is the sum that schedstat shows in parts: exact, where utime and stime count ticks.
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return ticks_ns(pid)


def ticks_ns(pid: int) -> int:
    """Return utime + stime of /proc/PID/stat in nanoseconds: the same as `cpu_ns`, in steps of a tick (10 ms)."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_NS


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of these processes; what they share counts for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids)


def descendants(pid: int) -> list[int]:
    """Return this process and all that it started, and so on. A daemon's worker is the daemon's cost."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for each in found:
        found.extend(children.get(each, ()))
    return found


def parents() -> dict[int, int]:
    """Return the parent of every process there is."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found[int(entry)] = int(_stat(int(entry))[1])
            except ProcessLookupError:
                continue  # it ended since the folder was read
    return found


def _stat(pid: int) -> list[str]:
    """Return /proc/PID/stat from the third field on: the second, a name, may hold spaces and parentheses."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    return text.rpartition(")")[2].split()
