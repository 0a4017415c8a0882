"""Handles a shortage of file descriptors: listeners stop accepting until some are free again, and one line in the log
says so. New connections wait in the kernel's queue meanwhile."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from gotunnel.core.descriptors import Shares
from gotunnel.core.loglimit import LogLimit
from gotunnel.logs import Logger
from gotunnel.net.quiet import nothing

__all__ = ["OUT_OF_DESCRIPTORS", "Accepting", "Descriptors", "Gate", "nofile", "raise_limit", "used"]

OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The errors of accept(2) and socket(2) when the process or the machine has no room for another socket."""
PAUSE = 0.1
"""Seconds between two checks for a free descriptor."""
LOW = 4096
"""With a lower limit a process warns at its start that it cannot serve many visitors."""
ENOUGH = 1 << 20
"""The most descriptors to request, whatever the hard limit."""
SELECT_LIMIT = 1024
"""FD_SETSIZE: select(2) accepts no higher number in any relevant C library."""
OPEN_MAX = 10_240
"""The most that macOS allows where its hard limit claims to be infinite (setrlimit(2) there)."""
UNLIMITED = 1 << 30
SCARCE = 30.0
"""Seconds after a shortage during which descriptors still count as scarce; otherwise it would return at once."""

log = Logger(namespace="gotunnel.net.descriptors")


class Accepting(Protocol):
    """A listener that a gate can pause."""

    def pause(self) -> None: ...
    def go_on(self) -> None: ...


class Gate:
    """All listeners of one kind, which stop and resume together. Made by `Descriptors`."""

    def __init__(self, owner: Descriptors, who: str) -> None:
        self.short = False
        """Whether they have stopped. Listeners check this before each accept."""
        self.ceiling = 0
        """The first descriptor number of the reserve, as of the last check of the limit."""
        self._owner = owner
        self._who = who
        self._listeners: set[Accepting] = set()
        self._timer: IDelayedCall | None = None

    def add(self, listener: Accepting) -> None:
        """Add a listener. It is paused if all have stopped."""
        self._listeners.add(listener)
        if self.short:
            listener.pause()

    def remove(self, listener: Accepting) -> None:
        """Remove a listener that was closed."""
        self._listeners.discard(listener)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.short = False

    def beyond(self, fd: int) -> bool:
        """Return whether a descriptor that was just opened belongs to the reserve."""
        if fd < self.ceiling:
            return False
        self._owner.look()
        return fd >= self.ceiling

    def accepted(self, fd: int) -> None:
        """Call this for each accepted connection. If its descriptor reaches the reserve, all listeners stop."""
        if fd >= self.ceiling and self.beyond(fd):
            self.stop()

    def stop(self) -> None:
        """Stop all listeners for lack of descriptors, and check for a free one from time to time."""
        if self.short or not self._listeners:
            return
        self._owner.look()
        self._owner.say(self._who)
        self._owner.shortage()
        self.short = True
        for listener in tuple(self._listeners):
            listener.pause()
        self._timer = self._owner.clock.callLater(PAUSE, self._try)

    def has_room(self) -> bool:
        """Return whether a descriptor below the reserve is free; opens one to find out."""
        try:
            fd = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return False
        os.close(fd)
        return not self.beyond(fd)

    def say(self) -> None:
        """Log the shortage: something was refused for lack of a descriptor."""
        self._owner.say(self._who)

    def _try(self) -> None:
        self._timer = None
        self._owner.look()
        if not self.has_room():
            self._owner.shortage()
            self._timer = self._owner.clock.callLater(PAUSE, self._try)
            return
        self.short = False
        for listener in tuple(self._listeners):
            listener.go_on()


class Descriptors:
    """The descriptors of this process. `visitors` is the gate of public ports, `clients` that of the control port,
    which may use more of them: visitors are useless without legs."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.visitors = Gate(self, "visitors")
        self.clients = Gate(self, "clients")
        self.on_scarce: Callable[[], None] = nothing
        """Called when descriptors become scarce, to close what is not needed."""
        self._scarce_until = clock.seconds()
        self._lines = LogLimit(rate=1 / 60, burst=1)
        self.look()

    @property
    def shares(self) -> Shares:
        """How the descriptors are shared out now."""
        return Shares(nofile())

    @property
    def scarce(self) -> bool:
        """Whether there is a shortage, or was one a moment ago."""
        return bool(self.clock.seconds() < self._scarce_until)

    def shortage(self) -> None:
        """Note a shortage; called by the gates."""
        before, self._scarce_until = self.scarce, self.clock.seconds() + SCARCE
        if not before:
            self.on_scarce()

    def look(self) -> None:
        """Read the limit again: it can change while the process runs (prlimit(1))."""
        shares = self.shares
        self.visitors.ceiling = shares.for_visitors
        self.clients.ceiling = shares.for_clients

    def say(self, who: str) -> None:
        """Log the shortage, at most once a minute."""
        allowed, _ = self._lines.allow(who, self.clock.seconds())
        if allowed:
            log.error(
                "out of file descriptors, {limit} are allowed: new {who} have to wait until others close; raise "
                "LimitNOFILE (systemd) or ulimit -n",
                limit=nofile(), who=who,
            )  # fmt: skip


def nofile() -> int:
    """Return how many file descriptors this process may have: the soft RLIMIT_NOFILE."""
    if sys.platform == "win32":
        return UNLIMITED
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def used() -> int | None:
    """Return how many file descriptors are open; None if the system does not tell."""
    try:
        # Linux since 6.2 keeps count; listing tens of thousands of them would take as many microseconds.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        pass
    try:
        return len(os.listdir("/dev/fd")) - 1
    except OSError:
        return None


def raise_limit(reactor: Any) -> None:
    """Raise this process's soft limit to the hard one. The hard limit is the administrator's decision; the soft one
    only protects programs that use select(2). Warns if the limit is low."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if _selects(reactor):
        most = min(most, SELECT_LIMIT)
    for wanted in (most, min(most, OPEN_MAX)):
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as failed:
            log.debug("the limit of file descriptors stays at {soft}: {reason}", soft=soft, reason=str(failed))
        else:
            log.debug("the limit of file descriptors is raised from {soft} to {most}", soft=soft, most=wanted)
            break
    limit = nofile()
    if limit < LOW:
        log.warn(
            "this process may have only {limit} file descriptors, enough for about {streams} visitors at a time; "
            "raise LimitNOFILE (systemd) or the hard limit (ulimit -Hn){why}",
            limit=limit, streams=Shares(limit).streams,
            why="; the select reactor takes no more than 1024" if _selects(reactor) else "",
        )  # fmt: skip


def _selects(reactor: Any) -> bool:
    module = sys.modules.get("twisted.internet.selectreactor")
    return module is not None and isinstance(reactor, module.SelectReactor)
