"""A role that is made up, behind the real admin listeners: as many clients, mappings and visitors as one wants, with
any names. `python -m tests.admin.scene '{"port": 17080}'` shows it to a browser until it is killed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gotunnel.address import HostPort
from gotunnel.admin.face import Acts, Refused
from gotunnel.admin.listener import AdminService
from gotunnel.config.model import AdminConfig
from gotunnel.core.accounts import Running
from gotunnel.core.descriptors import Shares
from gotunnel.core.usage import Usage
from gotunnel.core.view import (
    SWITCHED_OFF,
    Finding,
    LegsView,
    MappingState,
    MappingView,
    RightsView,
    SessionState,
    SessionView,
    StreamView,
)
from gotunnel.history.question import Question
from gotunnel.logs import Logger, set_level
from gotunnel.server.announced import NOT_ALLOWED

__all__ = ["TOKEN", "Scene", "shown"]

TOKEN = "c94e01b7d6f85a2338e07b1f6ad95c42"

log = Logger(namespace="gotunnel.scene")


class Scene:
    """What an operator sees of it. `names` are those of the clients, `mappings` how many there are of them together."""

    def __init__(self, clock: Any, role: str, names: list[str], mappings: int, streams: int, trouble: bool) -> None:
        self.role = role
        self.name = "0.0.0.0:17000" if role == "server" else "edge-1"
        self.relay = "portable"
        self.usage = Usage()
        self.draining = False
        self.off: set[tuple[str, str]] = set()
        self.names = names
        self.trouble = trouble
        self._count = mappings
        self._streams = streams
        self._clock = clock
        self._began = clock.seconds() - 191_234.0
        self.nodes = 0
        """How many nodes the first client leads to; the last one has one that is refused, if there are any."""

        class Descriptors:
            shares = Shares(4096)
            scarce = False

        self.descriptors: Any = Descriptors()
        for _ in range(streams):
            self.usage.began("worker-1", "web-1")

    @property
    def age(self) -> float:
        return float(self._clock.seconds() - self._began)

    @property
    def pending(self) -> int:
        return 2 if self.trouble and self._streams else 0

    def carried(self) -> tuple[int, int]:
        """Bytes that grow in waves."""
        if not self._streams:
            return 0, 0
        now = self.age
        wave = 2 * now + 30 * math.sin(now / 30) + 7 * math.sin(now / 7)
        return int(wave * 210_000), int(wave * 1_900_000)

    def sessions(self) -> Iterator[SessionView]:
        """One for each name; with trouble the second is away."""
        for number, name in enumerate(self.names):
            away = self.trouble and number == 1
            share = self._count // len(self.names)
            yield SessionView(
                name, "" if away else f"203.0.113.{10 + number % 200}:{40000 + number}",
                SessionState.AWAY if away else SessionState.CONNECTED, 12.0 if away else 3600.0 * (number + 1) + 42,
                None if away else 0.012 * (number + 1), None if away else 1.4, None if away else 30.0, 2, share,
                3 * number, self.pending if number == 0 else 0, LegsView(2, 3 * number, 0, 100),
                "its ports are closed in 18 s unless it comes back" if away else "", None if away else "gotunnel/0.1",
                [f"node-{1 + each}" for each in range(self.nodes if number == 0 else 0)],
                {"node-0": NOT_ALLOWED} if self.nodes and number == len(self.names) - 1 else {},
            )  # fmt: skip

    def mappings(self) -> Iterator[MappingView]:
        """So many, in turn of each name; with trouble some are down or refused."""
        server = self.role == "server"
        for number in range(self._count):
            client = self.names[number % len(self.names)] if self.names else "nobody"
            name, state, reason = f"web-{number + 1}", MappingState.OPEN, ""
            if self.trouble and number % 9 == 4:
                state, reason = MappingState.DOWN, "no answer within 5 s"
            elif self.trouble and number % 31 == 7:
                state = MappingState.AWAY
                reason = "its client is not connected; visitors wait for it"
            age = None
            if self.trouble and number % 9 == 6:
                state, age = MappingState.REFUSED, 200.0 + number
                reason = "port_in_use: another program on the server listens there"
            if (client, name) in self.off:
                state, reason, age = MappingState.OFF, SWITCHED_OFF, None
            yield MappingView(
                client if server else self.name, name, "mapping", f"0.0.0.0:{20000 + number}",
                None if server else f"10.0.0.{number % 250}:8080", state, reason, number % 4, 17 * number,
                number * 123_456, number * 7_654_321, None if server else client, age,
            )  # fmt: skip

    @property
    def streams(self) -> Iterator[StreamView]:
        for number in range(self._streams):
            yield StreamView(
                f"3fa1c2-{number}", self.names[number % len(self.names)], f"web-{number + 1}",
                f"198.51.100.{number % 250}:{50000 + number}", "open", 60.0 * number, 1000 * number, 90_000 * number,
            )  # fmt: skip

    def running(self) -> Iterator[Running]:
        return iter(())

    def rights(self) -> Iterator[RightsView]:
        return iter(())

    def legs(self) -> LegsView:
        return LegsView(2 * len(self.names), self._streams)

    def expected(self) -> Iterator[tuple[str, bool]]:
        return iter(())

    def round_trips(self) -> Iterator[tuple[str, float | None, float]]:
        return iter(())

    def alive(self) -> list[Finding]:
        return []

    def ready(self, client: str | None = None) -> list[Finding]:
        if self.draining:
            return [Finding("drain", False, "the server is draining: no new visitor is accepted")]
        return [Finding("control port", True, "listening on 0.0.0.0:17000")]

    # Acts.

    def acts(self) -> Acts:
        """Those that the page has."""
        return {"kick": self._kick, "mapping": self._mapping, "drain": self._drain}

    def _kick(self, wish: dict[str, Any]) -> dict[str, Any]:
        if "stream" in wish:
            return {"stream": wish["stream"], "cut": 1}
        name = wish.get("client", wish.get("server"))
        if name not in self.names:
            raise Refused(f"no client {name} is connected; gotunnel status lists those that are", 404)
        self.names.remove(name)
        log.warn("an operator has ended the session of client {client}, with {count} visitors", client=name, count=3)
        return {"client": name, "cut": 3}

    def _mapping(self, wish: dict[str, Any]) -> dict[str, Any]:
        (self.off.discard if wish["on"] else self.off.add)((wish["client"], wish["name"]))
        return {"mapping": wish["name"], "client": wish["client"], "on": wish["on"]}

    def _drain(self, wish: dict[str, Any]) -> dict[str, Any]:
        self.draining = True
        return {"draining": True, "live": self.usage.live, "cut": None, "over": False, "failed": False}


class Past:
    """A history that is made up: as many steps and mappings as are asked for."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def ask(self, asked: Question) -> dict[str, Any]:
        """See Recorder."""
        begin, step, rows = int(asked.since), asked.step, []
        if asked.by == "mapping":
            for mapping in self._scene.mappings():
                n = int(mapping.name.partition("-")[2])
                rows.append({"client": mapping.client, "mapping": mapping.name, **self._row(n, 10 * n)})
        elif self._scene.usage.opened:
            for number in range((int(asked.until) - begin) // step + 1):
                size = int(1000 * (1 + math.sin(number / 5)) + 300 * (1 + math.sin(number)))
                rows.append({"time": begin + number * step, **self._row(number, size)})
        return {"since": begin, "until": int(asked.until), "step": step, "by": asked.by, "more": False, "usage": rows}

    @staticmethod
    def _row(number: int, size: int) -> dict[str, int]:
        return {"up": size * 90_000, "down": size * 700_000, "streams": size, "failures": number % 3, "peak": size // 9}


def shown(
    reactor: Any, folder: Path, *, port: int = 0, host: str = "127.0.0.1", role: str = "server", clients: int = 3,
    names: list[str] | None = None, mappings: int = 3, streams: int = 5, trouble: bool = False,
    token: str | None = None, history: bool = True, nodes: int = 0,
) -> tuple[Scene, AdminService]:  # fmt: skip
    """Return a scene with its listeners, started: on a socket in `folder`, and on a port of `host`."""
    known = [f"worker-{number + 1}" for number in range(clients)] if names is None else names
    scene = Scene(reactor, role, known, mappings, streams, trouble)
    scene.nodes = nodes
    config = AdminConfig.model_validate({"addr": HostPort(host, port), "token": token})
    past: Any = Past(scene) if history else None
    admin = AdminService(config, scene, scene.acts(), reactor, folder, past)
    admin.startService()
    for name in known:
        log.info("client {client} connected from {address}{how}", client=name, address="203.0.113.9:40000", how="")
    if trouble:
        log.warn("target {target} of mapping {mapping} is down: {reason}", target="10.0.0.4:8080", mapping="web-5",
                 reason="no answer within 5 s")  # fmt: skip
        log.error(
            "mapping {mapping} of client {client} cannot open again: {reason}; next try in {seconds:g} s",
            mapping="web-5", client=known[0], reason="0.0.0.0:20004: the port is in use", seconds=5.0,
        )  # fmt: skip
    return scene, admin


def main() -> None:
    """Show one until this process is killed; its port is printed."""
    from twisted.internet import reactor as found

    from gotunnel.net.clock import use_monotonic

    reactor: Any = found
    use_monotonic(reactor)
    set_level("info")
    wish = json.loads(sys.argv[1])

    def begin() -> None:
        _, admin = shown(reactor, Path(wish.pop("folder", ".")), **wish)
        print(f"shown at {admin.address.port}", flush=True)

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main()
