"""What many visitors leave behind: memory and descriptors of both roles while visitors of every kind come and go.

    python -m bench.endurance --visitors 100000 --subject tls

Seven of ten visitors have an echo and leave; the others half-close first, ask for 200 KB and stay to the end, go in the
midst of it, reset the connection, say nothing at all, or send much that nobody reads before they go. After each tenth
of them all have left, and it is told what the two processes hold then. Exit code 1: what they hold has not stopped to
grow.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.ours import ours
from bench.process import BenchError, Processes
from bench.scale import FULL, fit
from bench.subject import Tunnel, start
from bench.table import columns

__all__ = ["LIVES", "main"]

AT_ONCE = 8
PATIENCE = 20.0
SETTLED = 4
"""Tenths after which a process has what it needs: buffers, legs, the allocator's arenas."""
GROWTH = 3 << 20
"""Bytes that may be more at the end than then: an allocator breathes. What is lost for each visitor of 100,000 is more
than that from 60 bytes on."""
_DOWNLOAD = 200_000
_LINGER = struct.pack("ii", 1, 0)


def _connect(port: int, mode: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.sendall(mode)
    return sock


def _echo(port: int) -> None:
    with _connect(port, b"E") as sock:
        _exactly(sock, 1)


def _half_close(port: int) -> None:
    with _connect(port, b"Eall of it") as sock:
        sock.shutdown(socket.SHUT_WR)
        _exactly(sock, 10)
        if sock.recv(1):
            raise BenchError("more came than was sent")


def _download(port: int, size: int = _DOWNLOAD) -> None:
    with _connect(port, b"D") as sock:
        _exactly(sock, 1)
        sock.sendall(_DOWNLOAD.to_bytes(8, "big"))
        _exactly(sock, size)


def _leave(port: int) -> None:
    _download(port, 1000)


def _reset(port: int) -> None:
    with _connect(port, b"E") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)


def _silent(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), PATIENCE).close()


def _flood(port: int) -> None:
    with _connect(port, b"E") as sock:
        _exactly(sock, 1)
        sock.sendall(bytes(100_000))


def _exactly(sock: socket.socket, size: int) -> None:
    while size:
        got = len(sock.recv(min(size, 65536)))
        if not got:
            raise BenchError("a visitor lost his connection")
        size -= got


LIVES: tuple[tuple[Callable[[int], None], int], ...] = (
    (_echo, 70), (_half_close, 8), (_download, 5), (_leave, 5), (_reset, 5), (_silent, 5), (_flood, 2),
)  # fmt: skip
"""What a visitor does, and how many of a hundred do so."""


class _Visitors(threading.Thread):
    """Some visitors, one after the other."""

    def __init__(self, port: int, count: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.problem: Exception | None = None
        self._port = port
        self._lives = random.Random(seed).choices([life for life, _ in LIVES], [each for _, each in LIVES], k=count)

    def run(self) -> None:
        try:
            for life in self._lives:
                life(self._port)
        except (OSError, BenchError) as problem:
            self.problem = problem


def _come(port: int, count: int, seed: int) -> None:
    threads = [_Visitors(port, len(range(each, count, AT_ONCE)), seed * AT_ONCE + each) for each in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for thread in threads:
        if thread.problem is not None:
            raise BenchError(f"a visitor was not served: {thread.problem}")


def _held(tunnel: Tunnel) -> list[int]:
    """Return the resident bytes and the descriptors of the server, and of the client."""
    tunnel.cpu()  # when it has come to rest
    return [
        value
        for role in ("server", "client")
        for value in (tunnel.rss(role), sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in tunnel.pids(role)))
    ]


def _measure(subject: str, visitors: int, folder: Path) -> int:
    with Processes(folder) as processes:
        target = processes.talk("target")
        assert target.stdout is not None
        (chosen,) = [each for each in ours() if each.name == subject]
        tunnel = start(chosen, processes, int(target.stdout.readline()))
        rows = [["visitors", "server, MiB", "descriptors", "client, MiB", "descriptors"]]
        seen: list[list[int]] = []
        began = time.monotonic()
        for tenth in range(11):
            if tenth:
                _come(tunnel.public, visitors // 10, tenth)
            seen.append(_held(tunnel))
            rss, files, client_rss, client_files = seen[-1]
            rows.append([f"{visitors // 10 * tenth:,}", f"{rss / 2**20:.1f}", str(files),
                         f"{client_rss / 2**20:.1f}", str(client_files)])  # fmt: skip
        sys.stdout.write(columns(rows) + "\n")
        grown = [seen[-1][place] - seen[SETTLED][place] for place in (0, 2)]
        rate = visitors / (time.monotonic() - began)
        sys.stdout.write(
            f"{subject}: {visitors:,} visitors, {rate:,.0f} a second; from {visitors // 10 * SETTLED:,} on the server "
            f"grew by {grown[0] / 1024:,.0f} KiB, the client by {grown[1] / 1024:,.0f}\n"
        )
        return int(max(grown) > GROWTH)


def main(words: Sequence[str] | None = None) -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.endurance", description="What many visitors leave behind.")
    parser.add_argument("--visitors", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--subject", choices=[each.name for each in ours()], default="tls", help="default: %(default)s")
    options = parser.parse_args(words)
    fit(FULL)
    with tempfile.TemporaryDirectory(prefix="gotunnel-endurance.") as folder:
        try:
            return _measure(options.subject, max(10, options.visitors), Path(folder))
        except BenchError as error:
            sys.stdout.write(f"{error}\n")
            return 2


if __name__ == "__main__":
    sys.exit(main())
