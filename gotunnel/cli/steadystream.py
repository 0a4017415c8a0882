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

from gotunnel.logs import Logger

__all__ = ["LAST_WORDS", "MOST_HELD", "RETRY", "SteadyStream"]

MOST_HELD = 1 << 20
"""Bytes of lines that are held: some ten minutes of a busy log, and no more memory than this."""
RETRY = 0.5
"""Seconds after which it is tried again, if no line comes before."""
LAST_WORDS = 1.0
"""Seconds that the end of a process waits for the reader."""
PIECE = select.PIPE_BUF
"""Bytes written at once: so many a pipe takes whole, once it says that it takes something."""


def call_later(seconds: float, function: Callable[[], None]) -> None:
    """Call it in the reactor's thread, if there is a reactor; none is made for it."""
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is not None:
        reactor.callFromThread(reactor.callLater, seconds, function)


class SteadyStream:
    """Takes the place of `stream`, in any thread. A file takes everything at any time, as does what has no descriptor:
    they are written to as they are. Raises what writing does, but for a reader who takes nothing at the moment."""

    log = Logger()

    def __init__(
        self, stream: TextIO, most: int = MOST_HELD, later: Callable[[float, Callable[[], None]], None] = call_later
    ) -> None:
        self._stream = stream
        self._most = most
        self._later = later
        self._lock = threading.RLock()  # to tell of lines left out is a line as well
        self._held: deque[bytes] = deque()
        self._size = 0
        self._left_out = 0
        self._since = 0.0  # when the reader took no more
        self._planned = False
        self._poll: select.poll | None = None
        try:
            self._fd = stream.fileno()
            waits = not S_ISREG(os.fstat(self._fd).st_mode)
        except (OSError, ValueError):  # no descriptor, or closed
            return
        if waits:
            stream.flush()  # from here on nothing goes through its buffer
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLOUT)
            atexit.register(self._end)

    def write(self, text: str) -> int:
        """Write a line, or hold it."""
        if self._poll is None:
            return self._stream.write(text)
        raw = text.encode(self._stream.encoding or "utf-8", self._stream.errors or "backslashreplace")
        with self._lock:
            if self._since:
                self._drain()
            if self._left_out or self._size + len(raw) > self._most:
                self._left_out += 1
            else:
                self._held.append(raw)
                self._size += len(raw)
                self._drain()
        return len(text)

    def flush(self) -> None:
        """Nothing of what can be written waits."""
        if self._poll is None:
            self._stream.flush()

    def _drain(self, until: float = 0.0) -> None:
        """Write what is held as far as the reader takes it. He may take his time until then, by the monotonic clock."""
        while self._held:
            raw = self._held[0]
            try:
                sent = os.write(self._fd, raw[:PIECE]) if self._takes(until) else 0
            except BlockingIOError:  # the descriptor was made one that does not wait, and another process was quicker
                sent = 0
            except OSError:
                self._held.popleft()
                self._size -= len(raw)
                raise
            if not sent:
                self._wait()
                return
            self._size -= sent
            if sent < len(raw):
                self._held[0] = raw[sent:]
            else:
                self._held.popleft()
        self._tell()

    def _takes(self, until: float) -> bool:
        assert self._poll is not None
        patience = max(0.0, until - time.monotonic()) if until else 0.0
        return bool(self._poll.poll(patience * 1000))

    def _wait(self) -> None:
        if not self._since:
            self._since = time.monotonic()
        if not self._planned:
            self._planned = True
            self._later(RETRY, self._again)

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
                "{count} lines of this log are missing here: nobody read it for {seconds:.0f} s",
                count=left_out, seconds=time.monotonic() - since,
            )  # fmt: skip

    def _end(self) -> None:
        with self._lock:
            try:
                self._drain(time.monotonic() + LAST_WORDS)
            except OSError:
                pass  # nobody reads it any more
