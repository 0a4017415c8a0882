"""What is measured: a tunnel that can be started, and one that runs. Which ones there are is in `ours` and `peers`."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cpu import cpu_ns, descendants, resident_bytes
from bench.process import BenchError, Processes

__all__ = ["Place", "Role", "Subject", "Tunnel", "find", "is_listening", "start"]

_PATIENCE = 20.0
_LOOK = 0.005
_CALM = 0.03


@dataclass(frozen=True)
class Place:
    """Where a tunnel is to run: a folder for its files, the target's port, and two ports of its own."""

    folder: Path
    target: int
    control: int
    public: int


@dataclass(frozen=True)
class Role:
    """One program of a tunnel. It is up when it (or its peer) listens on `port` and its log has `says`."""

    name: str
    command: Sequence[str | Path]
    port: int
    says: str = ""
    env: Mapping[str, str] | None = None
    cwd: Path | None = None


@dataclass(frozen=True)
class Subject:
    """A tunnel that can be started. `missing` tells why not; `version` what it calls itself. One `on_request` is
    measured when it is named."""

    name: str
    label: str
    roles: Callable[[Place], list[Role]]
    missing: Callable[[], str | None] = lambda: None
    version: Callable[[], str] = lambda: ""
    notes: str = ""
    on_request: bool = False


@dataclass
class Tunnel:
    """A tunnel that runs."""

    subject: Subject
    public: int
    processes: Processes
    started: dict[str, float] = field(default_factory=dict)
    """Seconds from the command until the role was up."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def pids(self, role: str | None = None) -> list[int]:
        """Return all processes of a role, or of all roles, with those that they started."""
        roots = self.running.values() if role is None else [self.running[role]]
        return [pid for process in roots for pid in descendants(process.pid)]

    def cpu(self) -> int:
        """Return the CPU of the whole tunnel so far, in nanoseconds, once it has come to rest (at most 1 s)."""
        try:
            return self._calm_cpu()
        except ProcessLookupError:
            raise BenchError(f"{self.subject.name}: a process of it ended") from None

    def _calm_cpu(self) -> int:
        pids = self.pids()
        before = cpu_ns(pids)
        for _ in range(round(1 / _CALM)):
            time.sleep(_CALM)
            now = cpu_ns(pids)
            if now - before < 500_000:  # what timers of an idle tunnel may use in the meantime, with room
                return now
            before = now
        return before

    def rss(self, role: str) -> int:
        """Return the resident bytes of a role."""
        return resident_bytes(self.pids(role))

    def stop(self) -> None:
        """End it, the client first: what a server does about a lost client is none of our measures."""
        for process in reversed(list(self.running.values())):
            self.processes.end(process)
        self.running.clear()


def start(subject: Subject, processes: Processes, target: int) -> Tunnel:
    """Start the roles of a tunnel one after another. Raises BenchError, with the end of the log, if one is not up."""
    number = random.randrange(1 << 32)
    folder = processes.folder / f"{subject.name}.{number:08x}"
    folder.mkdir()
    control, public = _free_port(), _free_port()
    while control == public:
        public = _free_port()
    tunnel = Tunnel(subject, public, processes)
    try:
        for role in subject.roles(Place(folder, target, control, public)):
            began = time.perf_counter()
            process = tunnel.running[role.name] = processes.spawn(role.command, role.env, role.cwd or folder)
            _wait_until_up(role, process, processes.log_of(process))
            tunnel.started[role.name] = time.perf_counter() - began
    except BaseException:
        tunnel.stop()
        raise
    return tunnel


def _wait_until_up(role: Role, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not (is_listening(role.port) and role.says in log.read_text(errors="backslashreplace")):
        ended = process.poll() is not None
        if ended or time.monotonic() > until:
            what = f"ended with {process.returncode}" if ended else f"was not up after {_PATIENCE:.0f} s"
            said = log.read_text(errors="backslashreplace").strip()[-600:]
            raise BenchError(f"{role.name} {what}: {said or 'it said nothing'}")
        time.sleep(_LOOK)


def is_listening(port: int) -> bool:
    """Say whether a TCP port of this machine has a listener, without connecting to it: a visitor would leave traces."""
    wanted = f"{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):  # a kernel without IPv6
            continue
        with open(table) as lines:
            next(lines)
            for line in lines:
                _, local, _, state = line.split(maxsplit=4)[:4]
                if state != "0A":
                    break  # listeners come first (tcp_seq_start in net/ipv4/tcp_ipv4.c)
                if local.endswith(f":{wanted}"):
                    return True
    return False


def _free_port() -> int:
    """Return a free port below those that the kernel gives to outgoing connections, or any free one."""
    for _ in range(100):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise BenchError("no free port between 20000 and 32000")


def find(program: str) -> str | None:
    """Return the path of a program; a user's PATH has no sbin on Debian."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
