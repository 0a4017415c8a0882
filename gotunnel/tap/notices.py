"""Tells systemd the state of a role: ready, alive, stopping. Not used if systemd does not listen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.logs import Logger
from gotunnel.net.systemd import NotifySocket, watchdog_interval
from gotunnel.tap.wrapper import Wrapper

__all__ = ["AGAIN", "MARGIN", "Notices"]

AGAIN = 0.5
"""Seconds until a message that did not fit into systemd's queue is sent again."""

MARGIN = 30.0
"""Seconds that a stop may take in addition to the time that visitors have to finish."""


class Notices(Wrapper):
    """Wraps the service of a role. `drain` returns how many seconds visitors have to finish. systemd is told to wait
    that long, so that a long drain does not end in SIGKILL. Call `reloading` when a reload begins and ends.

    The watchdog messages come from the reactor: a reactor that is stuck sends none, and systemd restarts the process.
    """

    log = Logger()

    def __init__(
        self, service: IService, reactor: Any, notify: NotifySocket, drain: Callable[[], float],
        env: Mapping[str, str] = os.environ,
    ) -> None:  # fmt: skip
        super().__init__(service)
        self._reactor = reactor
        self._notify = notify
        self.drain = drain
        self._env = env
        self._next: IDelayedCall | None = None
        self._waiting: list[tuple[str, ...]] = []
        self._failed = False

    def startService(self) -> None:
        """Start the role. Readiness is reported when the reactor runs, by the process that stays: `twistd` may fork
        before."""
        super().startService()
        self._reactor.callWhenRunning(self._ready)

    def stopService(self) -> Deferred[None]:
        """Stop the role. Watchdog messages continue until the process ends."""
        micro = int((self.drain() + MARGIN) * 1_000_000)
        self._say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={micro}")
        return super().stopService()

    def reloading(self, begun: bool) -> None:
        """A reload has begun, or has ended. A second `systemctl reload` waits for the end; with Type=notify-reload, the
        first one does so, too."""
        if begun:
            # systemd compares it, on CLOCK_MONOTONIC, with the time of its request.
            self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        elif self.running:
            self._say("READY=1")

    def _ready(self) -> None:
        if not self.running:
            return
        self._say("READY=1")
        interval = watchdog_interval(self._env)
        if interval is not None:
            self._alive(interval)

    def _alive(self, interval: float) -> None:
        self._reactor.callLater(interval, self._alive, interval)
        try:
            self._notify.send("WATCHDOG=1")
        except BlockingIOError:
            return  # the next one comes in time
        except OSError as error:
            self._complain(error)

    def _say(self, *lines: str) -> None:
        self._waiting.append(lines)
        if self._next is None:
            self._send()

    def _send(self) -> None:
        self._next = None
        while self._waiting:
            try:
                self._notify.send(*self._waiting[0])
            except BlockingIOError:
                self._next = self._reactor.callLater(AGAIN, self._send)
                return
            except OSError as error:
                self._complain(error)
            del self._waiting[0]

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self.log.warn(
                "the state of this process cannot be reported to systemd: {reason}; systemd may end it: look at "
                "NOTIFY_SOCKET, or use Type=exec without WatchdogSec",
                reason=str(error.strerror),
            )
