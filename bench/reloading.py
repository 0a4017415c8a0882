"""`python -m bench.reloading`: what streams notice of reloads. A hundred visitors take 1 MiB a second each through a
tunnel while both roles read changed files again, with mappings that come, go and move; then the same time without a
reload, to compare with. It says how many were cut, how late their bytes came, and how long a reload took."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.ours import entry
from bench.process import Processes, free_ports, python_environment

__all__ = ["Source", "main"]

PIECE = 64 * 1024
RATE = 1 << 20
"""Bytes a second for each stream."""


class Source:
    """The target: sends a piece to each connection when it is due, with the time at its beginning. A thread."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self.behind = 0.0
        """Seconds by which it was itself late at most: then the machine is too busy for this."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._listening.setblocking(False)
        streams: list[socket.socket] = []
        period, due = PIECE / RATE, time.monotonic()
        rest = bytes(PIECE - 8)
        while True:
            due += period
            try:
                while True:
                    streams.append(self._listening.accept()[0])
                    streams[-1].setblocking(True)
            except BlockingIOError:
                pass
            for stream in streams[:]:
                try:
                    stream.sendall(time.monotonic_ns().to_bytes(8, "big") + rest)
                except OSError:
                    streams.remove(stream)
            left = due - time.monotonic()
            if left > 0:
                time.sleep(left)
            else:
                self.behind = max(self.behind, -left)


class _Visitors:
    """Take what comes, and note for each piece how long it was under way."""

    def __init__(self, port: int, count: int) -> None:
        self.cut = 0
        self.delays: list[float] = []
        self.moved = 0
        self._epoll = select.epoll()
        self._socks: dict[int, socket.socket] = {}
        self._have: dict[int, int] = {}
        self._head: dict[int, bytes] = {}
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), 10)
            sock.setblocking(False)
            self._socks[sock.fileno()] = sock
            self._have[sock.fileno()] = 0
            self._head[sock.fileno()] = b""
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def take(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for fd, _ in self._epoll.poll(left):
                self._read(fd)

    def _read(self, fd: int) -> None:
        try:
            data = self._socks[fd].recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.cut += 1
            self._epoll.unregister(fd)
            return
        self.moved += len(data)
        while data:
            have = self._have[fd]
            part, data = data[: PIECE - have], data[PIECE - have :]
            if have < 8:
                self._head[fd] = (self._head[fd] + part)[:8]
            self._have[fd] = have + len(part)
            if self._have[fd] == PIECE:
                sent = int.from_bytes(self._head[fd], "big") / 1e9
                self.delays.append(time.monotonic() - sent)
                self._have[fd], self._head[fd] = 0, b""


class _Roles:
    """A server and a client, and their files, which change with each `change`."""

    def __init__(self, folder: Path, processes: Processes, target: int, mappings: int) -> None:
        self.public, self._control, *self._others = free_ports(mappings + 2)
        self._token, self._folder, self._target = secrets.token_hex(32), folder, target
        self._processes = processes
        self._write(0)
        self._running = [self._start("server", "listening for clients"), self._start("client", "mapping main open")]

    def _write(self, number: int) -> None:
        server = {"addr": f"127.0.0.1:{self._control}", "token": self._token, "limits": {"mappings": 5000 - number}}
        half = len(self._others) // 2
        kept = [(f"kept{i}", port) for i, port in enumerate(self._others[:half])]
        fresh = [(f"new{number}-{i}", port) for i, port in enumerate(self._others[half:])]
        client: dict[str, Any] = {
            "name": "edge", "token": self._token, "server_addr": f"127.0.0.1:{self._control}",
            "mappings": [
                {"name": name, "local": self._target, "remote": port}
                for name, port in (("main", self.public), *kept, *fresh)
            ],
        }  # fmt: skip
        for role, section in (("server", server), ("client", client)):
            path = self._folder / f"{role}.yaml"
            path.write_text(json.dumps({role: section}))
            path.chmod(0o600)

    def _start(self, role: str, words: str) -> subprocess.Popen[bytes]:
        options = ["--config", str(self._folder / f"{role}.yaml"), "--state", str(self._folder / "state")]
        process = self._processes.spawn([*entry(role), *options], python_environment())
        self._wait(process, words, 1)
        return process

    def _wait(self, process: subprocess.Popen[bytes], words: str, times: int) -> None:
        end = time.monotonic() + 60
        while len(re.findall(re.escape(words), self._log(process))) < times:
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"no {words!r} in a log:\n{self._log(process)[-3000:]}")
            time.sleep(0.02)

    def _log(self, process: subprocess.Popen[bytes]) -> str:
        return self._processes.log_of(process).read_text(errors="replace")

    def change(self, number: int) -> None:
        self._write(number)
        for process in self._running:
            process.send_signal(signal.SIGHUP)

    def reloads(self) -> int:
        """How many both have finished."""
        return sum(len(re.findall("configuration read again: (mappings|changed)", self._log(p))) for p in self._running)

    def lost(self) -> int:
        """How often the client had to connect again."""
        return self._log(self._running[1]).count("connected to the server") - 1


def _percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1000


def _line(what: str, visitors: _Visitors, seconds: float) -> str:
    delays = visitors.delays
    return (
        f"{what:16}{visitors.cut:5}{visitors.moved / seconds / RATE:13.1f}{statistics.median(delays) * 1000:12.2f}"
        f"{_percentile(delays, 0.99):10.1f}{max(delays) * 1000:10.1f}"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run; return the exit code: 1 when a stream was cut."""
    parser = argparse.ArgumentParser(prog="python -m bench.reloading", description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--reloads", type=int, default=50, help="of both roles, one a second")
    parser.add_argument("--mappings", type=int, default=100, help="beside that of the streams; half of them change")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="gotunnel-bench.") as name, Processes(Path(name)) as processes:
        source = Source()
        roles = _Roles(Path(name), processes, source.port, options.mappings)
        visitors = _Visitors(roles.public, options.streams)
        visitors.take(3)
        print(f"{'':16}{'cut':>5}{'MiB/s in all':>13}{'median ms':>12}{'99 %':>10}{'longest':>10}")
        for what, count in (("at rest", 0), ("reloads", options.reloads)):
            visitors.delays, visitors.moved = [], 0
            began = time.monotonic()
            for number in range(1, options.reloads + 1):
                if count:
                    roles.change(number)
                visitors.take(began + number - time.monotonic())
            print(_line(what, visitors, time.monotonic() - began))
        visitors.take(2)
        done = roles.reloads()
        print(f"{done} reloads of {2 * options.reloads} finished, {roles.lost()} sessions lost, "
              f"the source was late by {source.behind * 1000:.0f} ms at most")  # fmt: skip
    return 1 if visitors.cut else 0


if __name__ == "__main__":
    sys.exit(main())
