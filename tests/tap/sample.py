"""A role without a tunnel, for tests of what every role does: its file is JSON and says how the service behaves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from gotunnel.errors import ConfigError, PortUnavailable, Problem
from gotunnel.logs import Logger
from gotunnel.tap.role import Role, RoleOptions
from gotunnel.tap.runnerlog import speaking

log = Logger()


def load(path: str) -> Any:
    """Return the file as an object, with the folder that the service writes its marks to."""
    content = json.loads(Path(path).read_text())
    if content.get("refused"):
        raise ConfigError(
            [Problem(path, 3, "a.b", "is wrong", "write c"), Problem(path, 9, "d", "is too", "leave it out")]
        )
    return SimpleNamespace(
        warnings=["a.b: is doubtful"],
        log_level=content.get("log_level", "info"),
        log_lang=content.get("log_lang", "en"),
        log_format=content.get("log_format", "text"),
        marks=Path(path).absolute().parent,
        stop=content.get("stop", "now"),
        fails=content.get("fails"),
    )


class Sample(Service):
    """Leaves a mark for each thing that happens to it, named after it."""

    def __init__(self, config: Any, reactor: Any) -> None:
        self.config = config
        self.reactor = reactor

    def mark(self, name: str) -> None:
        (self.config.marks / f"{name}.new").write_text(f"{os.getpid()}")
        (self.config.marks / f"{name}.new").rename(self.config.marks / name)

    def startService(self) -> None:
        if self.config.fails == "start":
            raise PortUnavailable("no_fds", "planted for start")
        super().startService()
        log.info("sample is up")
        log.debug("sample whispers")
        self.reactor.callLater(0, self.mark, "started")

    def stopService(self) -> Deferred[None]:
        self.mark("stopping")
        if self.config.stop == "now":
            return succeed(None)
        if self.config.stop == "error":
            raise ZeroDivisionError("planted")
        if self.config.stop == "thread":
            # As a name being resolved: the reactor waits for its threads at the end.
            self.reactor.callInThread(time.sleep, 120)
            return succeed(None)
        released: Deferred[None] = Deferred()

        def look() -> None:
            if (self.config.marks / "release").exists() and not released.called:
                released.callback(None)

        LoopingCall(look).start(0.02)
        return released


def make(config: Any, reactor: Any, state: Path) -> Sample:
    if config.fails == "make":
        raise PortUnavailable("port_in_use", "127.0.0.1:17000 is in use")
    return Sample(config, reactor)


ROLE = Role("gotunnel-sample", lambda path, state: load(path), make)


class Options(RoleOptions):
    role = ROLE


def makeService(options: Options) -> Any:
    from twisted.internet import reactor

    return speaking(ROLE.service(options.prepared, reactor), options.parent, reactor)
