"""A log stream that never blocks, because a reader of the log must not be able to stop a tunnel. While the reader reads
nothing, lines are held; what exceeds the limit is dropped and counted."""

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
"""The largest number of bytes of held lines: about ten minutes of a busy log. This and one line is all the memory that
is used."""
RETRY = 0.5
"""Seconds until the next attempt, if no line comes before."""
LAST_WORDS = 1.0
"""Seconds that the end of a process waits for the reader."""
PIECE = select.PIPE_BUF
"""Bytes written at once. A line of up to this length reaches a pipe in one piece, even if others write there too."""
BREAK = b"\n"


def call_later(seconds: float, function: Callable[[], None]) -> bool:
    """Call the function in the reactor's thread; return False if there is no reactor yet. Creates none."""
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        return False
    reactor.callFromThread(reactor.callLater, seconds, function)
    return True


class SteadyStream:
    """Replaces `stream`, in any thread. A file, or a stream without a descriptor, accepts everything at any time and is
    written to directly. Raises what writing raises, except when the reader accepts nothing at the moment."""

    log = Logger()

    def __init__(
        self, stream: TextIO, most: int = MOST_HELD, later: Callable[[float, Callable[[], None]], bool] = call_later
    ) -> None:
        self._stream = stream
        self._most = most
        self._later = later
        self._lock = threading.RLock()  # reporting dropped lines writes a line, too
        self._held: deque[bytes] = deque()
        self._begun = False  # part of the first held line is written
        self._size = 0
        self._left_out = 0
        self._since = 0.0  # when the reader stopped accepting
        self._planned = False
        self._draining = False
        self._destination: LogDestination | None = None
        try:
            fd = stream.fileno()
            if not S_ISREG(os.fstat(fd).st_mode):
                stream.flush()  # from here on nothing goes through its buffer
                self._destination = destination_of(fd)
        except (OSError, ValueError):  # no descriptor, closed or broken: write to the stream itself
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
        """Nothing to do with a destination: what can be written has been written."""
        if self._destination is None:
            self._stream.flush()

    def _drain(self, until: float = 0.0, *, raises: bool = False) -> None:
        """Write the held lines as far as the reader accepts them, waiting for it until `until` (monotonic seconds). If
        a line can never be written, raise the exception if `raises`, otherwise count the line as dropped."""
        if self._draining:
            return  # an error was logged meanwhile; its line is written after this one
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
        """Drop the first held line, which cannot be written. If part of it was, that part gets a line break."""
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
        """All held lines are written: report how many lines are missing after them."""
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
