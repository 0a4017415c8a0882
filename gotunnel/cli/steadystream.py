"""A stream for the log that waits for nobody: where its reader stands still, what he does not take is held, and what
is too much is left out and counted. Whoever reads a log must not be able to stop a tunnel."""

from __future__ import annotations

import atexit
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from stat import S_ISREG
from typing import TextIO

from gotunnel.cli.logdestination import LogDestination, destination_of
from gotunnel.logs import Logger

__all__ = ["LAST_WORDS", "MOST_HELD", "RETRY", "SteadyStream"]

MOST_HELD = 1 << 20
"""Bytes of lines that are held: some ten minutes of a busy log, and no more memory than this and one line."""
RETRY = 0.5
"""Seconds after which it is tried again, if no line comes before."""
LAST_WORDS = 1.0
"""Seconds that the end of a process waits for the reader."""
PIECE = select.PIPE_BUF
"""Bytes written at once: a line of so many arrives in one piece at a pipe, whoever writes there as well."""
BREAK = b"\n"


def call_later(seconds: float, function: Callable[[], None]) -> bool:
    """Call it in the reactor's thread; False if there is no reactor yet. None is made for it."""
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        return False
    reactor.callFromThread(reactor.callLater, seconds, function)
    return True


class SteadyStream:
    """Takes the place of `stream`, in any thread. A file takes everything at any time, as does what has no descriptor:
    they are written to as they are. Raises what writing does, but for a reader who takes nothing at the moment."""

    log = Logger()

    def __init__(
        self, stream: TextIO, most: int = MOST_HELD, later: Callable[[float, Callable[[], None]], bool] = call_later
    ) -> None:
        self._stream = stream
        self._most = most
        self._later = later
        self._lock = threading.RLock()  # to tell of lines left out is a line as well
        self._held: deque[bytes] = deque()
        self._begun = False  # part of the first line that is held is written
        self._size = 0
        self._left_out = 0
        self._since = 0.0  # when the reader took no more
        self._planned = False
        self._draining = False
        self._destination: LogDestination | None = None
        try:
            fd = stream.fileno()
            if not S_ISREG(os.fstat(fd).st_mode):
                stream.flush()  # from here on nothing goes through its buffer
                self._destination = destination_of(fd)
        except (OSError, ValueError):  # no descriptor, or closed, or broken: as without this
            return
        if self._destination is not None:
            atexit.register(self._end)

    def write(self, text: str) -> int:
        """Write a line, or hold it."""
        if self._destination is None:
            return self._stream.write(text)
        raw = text.encode(self._stream.encoding or "utf-8", self._stream.errors or "backslashreplace")
        with self._lock:
            if self._since:
                self._drain()
            if self._left_out or (self._held and self._size + len(raw) > self._most):
                self._left_out += 1
            else:
                self._held.append(raw)
                self._size += len(raw)
                self._drain(raises=True)
        return len(text)

    def flush(self) -> None:
        """Nothing of what can be written waits."""
        if self._destination is None:
            self._stream.flush()

    def _drain(self, until: float = 0.0, *, raises: bool = False) -> None:
        """Write what is held as far as the reader takes it. He may take his time until then, by the monotonic clock. Of
        a line that can never be written the exception is raised if somebody is there for it; else it is counted."""
        if self._draining:
            return  # in the midst of it an error was found that nobody took: that line is written behind this one
        self._draining = True
        try:
            self._drain_held(until, raises)
        finally:
            self._draining = False
            if self._held:
                self._wait()
        if not self._held:
            self._tell()

    def _drain_held(self, until: float, raises: bool) -> None:
        assert self._destination is not None
        while self._held:
            raw = self._held[0]
            try:
                sent = self._destination.write(raw[:PIECE])
            except OSError:
                self._drop()
                if raises:
                    raise
                self._left_out += raw != BREAK
                continue
            if sent:
                self._size -= sent
                self._begun = sent < len(raw)
                if self._begun:
                    self._held[0] = raw[sent:]
                else:
                    self._held.popleft()
            elif not until or not self._destination.takes(until - time.monotonic()):
                return

    def _drop(self) -> None:
        """The first line that is held cannot be written. Behind the part of it that is, there is a break."""
        self._size -= len(self._held.popleft())
        if self._begun:
            self._held.appendleft(BREAK)
            self._size += len(BREAK)
        self._begun = False

    def _wait(self) -> None:
        if not self._since:
            self._since = time.monotonic()
        if not self._planned:
            self._planned = self._later(RETRY, self._again)

    def _again(self) -> None:
        with self._lock:
            self._planned = False
            self._drain()

    def _tell(self) -> None:
        """All is written that was held: say what is missing behind it."""
        left_out, self._left_out = self._left_out, 0
        since, self._since = self._since, 0.0
        if left_out:
            self.log.warn(
                "{count} lines of this log are missing here: nothing read it for {seconds:.0f} s",
                count=left_out, seconds=time.monotonic() - since,
            )  # fmt: skip

    def _end(self) -> None:
        assert self._destination is not None
        until = time.monotonic() + LAST_WORDS
        with self._lock:
            self._drain(until)
            self._destination.finish(until - time.monotonic())
