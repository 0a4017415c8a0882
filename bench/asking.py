"""What it costs to ask a busy server how it is: the time of each answer, and how long it keeps the event loop from
anything else. `python -m bench.asking [STREAMS [MAPPINGS]]`. The server is real, but for its sockets to the others."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

from gotunnel.admin.listener import AdminService
from gotunnel.config.model import AdminConfig
from gotunnel.net.descriptors import Descriptors
from gotunnel.server.view import ServerView
from gotunnel.wire.messages import MappingRequest
from tests.server.world import World

reactor: Any = global_reactor
PATHS = ("/v1/status", "/v1/streams", "/v1/sessions", "/v1/mappings", "/metrics", "/healthz", "/readyz")
CLIENTS = 10
ROUNDS = 5
TICK = 0.001
"""Seconds between two looks at the clock."""


def busy_server(streams: int, mappings: int) -> World:
    """Return a server with so many of both, spread over CLIENTS."""
    world = World(limits={"mappings": mappings, "visitors": streams, "legs": 2 * streams, "messages": 1_000_000})
    world.hub.most_visitors = 2 * streams
    for number in range(CLIENTS):
        client = world.login(f"client-{number}", host=f"192.0.2.{number + 1}")
        each = mappings // CLIENTS
        names = [MappingRequest(f"web-{index}", 20000 + number * each + index) for index in range(each)]
        for start in range(0, each, 32):
            client.register(*names[start : start + 32], more=True)
        ports = [world.relay.port(request.remote_port) for request in names]
        for index in range(streams // CLIENTS):
            client.bring_leg().carried = (index, 2 * index)
            ports[index % len(ports)].visit(f"198.51.100.7:{index}")
    assert world.hub.live == streams // CLIENTS * CLIENTS, world.hub.live
    return world


def ask(where: str, path: str) -> tuple[float, int]:
    """Ask, in a thread, and return the seconds and the bytes of the answer."""
    began = time.perf_counter()
    size = 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(where)
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        while data := sock.recv(1 << 20):
            size += len(data)
    return time.perf_counter() - began, size


async def measured(world: World, folder: str, stall: list[float]) -> None:
    """Print a row for each path."""
    made = {"hub": world.hub, "began": 0.0, "draining": False, "accepting": True, "address": "here", "egress": None,
            "listeners": (), "descriptors": Descriptors(reactor)}  # fmt: skip
    admin = AdminService(AdminConfig(), ServerView(SimpleNamespace(**made)), {}, reactor, Path(folder))  # type: ignore[arg-type]
    admin.startService()
    sys.stdout.write("path            first ms   median ms   longest stall ms   (first)        bytes\n")
    for path in PATHS:
        times, stalls, size = [], [], 0
        for _ in range(ROUNDS):
            await deferLater(reactor, 0.05)
            stall[0] = 0.0
            seconds, size = await deferToThread(ask, admin.path, path)
            await deferLater(reactor, 2 * TICK)
            times.append(1000 * seconds)
            stalls.append(1000 * stall[0])
        later = sorted(times[1:])
        sys.stdout.write(
            f"{path:<14} {times[0]:>9.1f} {later[len(later) // 2]:>11.1f} {max(stalls[1:]):>18.1f} {stalls[0]:>9.1f}"
            f" {size:>12,}\n"
        )
    await admin.stopService()


def main() -> None:
    """Build, ask, print."""
    streams, mappings = (int(word) for word in [*sys.argv[1:], "5000", "500"][:2])
    world = busy_server(streams, mappings)
    sys.stdout.write(f"{world.hub.live} streams, {mappings} mappings, {os.cpu_count()} cores\n")
    stall, last = [0.0], [time.perf_counter()]

    def look() -> None:
        now = time.perf_counter()
        stall[0] = max(stall[0], now - last[0] - TICK)
        last[0] = now

    with tempfile.TemporaryDirectory() as folder:
        looking = LoopingCall(look)
        looking.start(TICK)

        async def run() -> None:
            try:
                await measured(world, folder, stall)
            finally:
                looking.stop()
                reactor.stop()

        def begin() -> Deferred[None]:
            done: Deferred[None] = ensureDeferred(run())
            return done

        reactor.callWhenRunning(begin)
        reactor.run()


if __name__ == "__main__":
    main()
