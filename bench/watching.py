"""`python -m bench.watching`: what it costs a busy server to be watched: to be scraped every 15 seconds, to be asked
for its status every 2, and to keep the history of its traffic. Rounds with and without take turns, each of the same
work; and each answer is paid for alone, with all visitors there: it costs less than two rounds differ by."""

from __future__ import annotations

import argparse
import json
import secrets
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

from bench.cpu import cpu_ns
from bench.ours import entry
from bench.process import LoadProcess, Processes, free_ports, python_environment

__all__ = ["main"]

SCRAPE, STATUS = 15.0, 2.0
"""Seconds between two of them."""
PATHS = {"/metrics": SCRAPE, "/v1/status": STATUS, "/v1/usage?since=1h&by=mapping": SCRAPE}
"""What is paid for alone, and how often somebody wants it. The history is written each time that it is asked for, and
every 15 seconds by itself."""
ARMS = ("nobody asks", "history", "history, asked")
CONNECTIONS, EXCHANGES, BUSY = 100, 20, 32
"""Of one piece of work: new visitors, and round trips of each of BUSY that stay."""


class _Tunnel:
    """A server and a client with so many mappings to one target; `history` is switched while they run."""

    def __init__(self, folder: Path, processes: Processes, target: int, mappings: int) -> None:
        self._processes, self._folder, self._token = processes, folder, secrets.token_hex(32)
        self._control, *self.public = free_ports(mappings + 1)
        self._reloads = 0
        client = {
            "name": "edge", "token": self._token, "server_addr": f"127.0.0.1:{self._control}", "admin": False,
            "mappings": [{"name": f"web-{i}", "local": target, "remote": port} for i, port in enumerate(self.public)],
        }  # fmt: skip
        self._write("server", self._server(True))
        self._write("client", client)
        self.server = self._start("server", "listening for clients")
        self._start("client", f"mapping web-{mappings - 1} open")
        self.socket = str(folder / "server" / "gotunnel-server.sock")

    def _server(self, history: bool) -> dict[str, Any]:
        limits = {"mappings": 5000, "legs": 20_000, "visitors": 20_000, "unauthenticated_per_address": 1024,
                  "unauthenticated": 1024}  # fmt: skip
        return {"addr": f"127.0.0.1:{self._control}", "token": self._token, "usage": history, "limits": limits}

    def _write(self, role: str, section: dict[str, Any]) -> None:
        path = self._folder / f"{role}.yaml"
        path.write_text(json.dumps({role: section}))
        path.chmod(0o600)

    def _start(self, role: str, words: str) -> subprocess.Popen[bytes]:
        options = ["--config", str(self._folder / f"{role}.yaml"), "--state", str(self._folder / role)]
        process = self._processes.spawn([*entry(role), *options], python_environment())
        self._wait(process, words, 1)
        return process

    def _wait(self, process: subprocess.Popen[bytes], words: str, times: int) -> None:
        end, log = time.monotonic() + 60, self._processes.log_of(process)
        while log.read_text(errors="replace").count(words) < times:
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"no {words!r} in a log:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)

    def keep(self, history: bool) -> None:
        """Switch the history."""
        self._reloads += 1
        self._write("server", self._server(history))
        self.server.send_signal(signal.SIGHUP)
        self._wait(self.server, "configuration read again", self._reloads)

    def cpu(self) -> int:
        """Nanoseconds that the server has used."""
        return cpu_ns([self.server.pid])

    def ask(self, path: str) -> int:
        """Ask once, and return the bytes of the answer."""
        size = 0
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(self.socket)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            first = b""
            while data := sock.recv(1 << 20):
                first, size = first or data, size + len(data)
        if not first.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{path}: {first[:500]!r}")
        return size


class _Asker(threading.Thread):
    """Asks as Prometheus and `gotunnel status --watch` do, until it is told to end."""

    def __init__(self, tunnel: _Tunnel) -> None:
        super().__init__(daemon=True)
        self._tunnel = tunnel
        self._over = threading.Event()

    def run(self) -> None:
        """Called by Thread."""
        due = dict.fromkeys(("/metrics", "/v1/status"), time.monotonic())
        while not self._over.wait(max(0.0, min(due.values()) - time.monotonic())):
            path = min(due, key=lambda each: due[each])
            self._tunnel.ask(path)
            due[path] += PATHS[path]

    def end(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()


def _round(tunnel: _Tunnel, load: LoadProcess, seconds: float, *, asked: bool) -> tuple[float, float]:
    """Work for so long; return CPU microseconds of the server for a piece of work, and its share of a core."""
    asker = _Asker(tunnel)
    began, before, pieces = time.monotonic(), tunnel.cpu(), 0
    if asked:
        asker.start()
    while time.monotonic() - began < seconds:
        load.ask("knock", port=tunnel.public[pieces % len(tunnel.public)], count=CONNECTIONS, at_once=8, seconds=60)
        load.ask("exchange", group="busy", count=EXCHANGES, size=100, seconds=60)
        pieces += 1
    used, passed = tunnel.cpu() - before, time.monotonic() - began
    if asked:
        asker.end()
    return used / pieces / 1000, used / 1e9 / passed


def _alone(tunnel: _Tunnel, path: str, times: int) -> tuple[float, int]:
    """Return CPU milliseconds of the server for one answer while nothing else moves, and the bytes of it."""
    size = tunnel.ask(path)  # the first one loads what answers
    time.sleep(0.5)
    before = tunnel.cpu()
    for _ in range(times):
        size = tunnel.ask(path)
    used = tunnel.cpu() - before
    before, began = tunnel.cpu(), time.monotonic()
    time.sleep(1.0)
    idle = (tunnel.cpu() - before) / (time.monotonic() - began)
    return max(0.0, used - idle * 0.001 * times) / times / 1e6, size


def main(words: Sequence[str] | None = None) -> int:
    """Run, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.watching", description=__doc__)
    parser.add_argument("--streams", type=int, default=500, help="visitors that are there all the time")
    parser.add_argument("--mappings", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5, help="of each kind")
    parser.add_argument("--seconds", type=float, default=SCRAPE, help="of each round")
    parser.add_argument("--answers", type=int, default=40)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="gotunnel-bench.") as name, Processes(Path(name)) as processes:
        target = processes.talk("target")
        assert target.stdout is not None
        tunnel = _Tunnel(Path(name), processes, int(target.stdout.readline()), options.mappings)
        load = LoadProcess(processes)
        for number, port in enumerate(tunnel.public):
            count = options.streams // options.mappings + (number < options.streams % options.mappings)
            if count:
                load.ask("knock", port=port, count=count, at_once=8, seconds=60, keep="there")
        load.ask("knock", port=tunnel.public[0], count=BUSY, at_once=8, seconds=60, keep="busy")
        found: dict[str, list[tuple[float, float]]] = {arm: [] for arm in ARMS}
        for number in range(options.rounds):
            for arm in ARMS if number % 2 else ARMS[::-1]:
                tunnel.keep(arm != ARMS[0])
                found[arm].append(_round(tunnel, load, options.seconds, asked=arm == ARMS[2]))
        share = statistics.median(share for _, share in found[ARMS[0]])
        print(f"{options.streams} visitors stay, {options.mappings} mappings; "
              f"the server used {share:.0%} of a core under the load\n")  # fmt: skip
        print(f"{'':18}{'µs of CPU for a piece of work':>32}{'against nobody asks':>22}")
        for arm in ARMS:
            ratios = [one[0] / other[0] for one, other in zip(found[arm], found[ARMS[0]], strict=True)]
            low, middle, high = min(ratios) - 1, statistics.median(ratios) - 1, max(ratios) - 1
            spread = "" if arm == ARMS[0] else f"{middle:+.1%} ({low:+.1%} to {high:+.1%})"
            print(f"{arm:18}{statistics.median(used for used, _ in found[arm]):>32,.0f}{spread:>30}")
        heads = f"{'ms of CPU':>12}{'bytes':>12}{'every':>8}{'of a core':>12}{'of that load':>14}"
        print(f"\n{'an answer, alone':32}{heads}")
        tunnel.keep(True)
        whole = 0.0
        for path, every in PATHS.items():
            used, size = _alone(tunnel, path, options.answers)
            part = used / 1000 / every
            whole += part
            print(f"{path:32}{used:>12.2f}{size:>12,}{every:>6.0f} s{part:>12.3%}{part / share:>14.2%}")
        print(f"{'all of it':64}{whole:>12.3%}{whole / share:>14.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
