"""Writes to a blocking descriptor in a thread of its own, so that only this thread blocks."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from queue import Empty, SimpleQueue

__all__ = ["MOST_TAKEN", "LogWriter"]

MOST_TAKEN = 16 * select.PIPE_BUF
"""The largest number of bytes that the thread has queued behind the piece that it writes: the size of a Linux pipe."""
RETRY = 0.05
"""Seconds until the thread tries again if another process has made the descriptor non-blocking."""


class LogWriter:
    """A LogDestination. It is not thread-safe; its caller has a lock. Nothing here takes a lock that the writing thread
    takes as well, because a finalizer in that thread may log. Raises OSError if no thread can be started."""

    _error: OSError | None

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)
        try:
            self._begin()
        except OSError:
            os.close(self._fd)
            raise

    def write(self, data: bytes) -> int:
        """See LogDestination. An exception concerns a piece that was accepted before."""
        if self._process != os.getpid():
            self._begin()  # after a fork the thread exists only in the parent
        while not self._written.empty():
            self._settle(self._written.get())
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._taken >= MOST_TAKEN:
            return 0
        self._taken += len(data)
        self._pieces.put(data)
        return len(data)

    def takes(self, seconds: float) -> bool:
        """See LogDestination."""
        return seconds >= 0 and self._wait(MOST_TAKEN - 1, seconds)

    def finish(self, seconds: float) -> None:
        """See LogDestination."""
        self._wait(0, seconds)

    def close(self) -> None:
        """See LogDestination. Accepted data is written first."""
        self._pieces.put(b"")

    def _begin(self) -> None:
        self._process = os.getpid()
        self._pieces: SimpleQueue[bytes] = SimpleQueue()
        self._written: SimpleQueue[int | OSError] = SimpleQueue()
        self._taken = 0
        self._error = None
        thread = threading.Thread(
            target=_work, args=(self._fd, self._pieces, self._written), name="log", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(str(error)) from None

    def _wait(self, most: int, seconds: float) -> bool:
        """Wait until at most `most` bytes are accepted and not yet written; return whether that happened in time."""
        until = time.monotonic() + seconds
        while self._process == os.getpid() and self._taken > most:
            try:
                self._settle(self._written.get(timeout=max(0.0, until - time.monotonic())))
            except Empty:
                return False
        return True

    def _settle(self, written: int | OSError) -> None:
        if isinstance(written, OSError):
            self._error = written
        else:
            self._taken -= written


def _work(fd: int, pieces: SimpleQueue[bytes], written: SimpleQueue[int | OSError]) -> None:
    """The thread. It ends at an empty piece, or with the process."""
    # Signals must interrupt only the main thread. SIGTTOU is the exception: a terminal may stop a process that writes
    # from the background.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGTTOU})
    while piece := pieces.get():
        rest = piece
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                time.sleep(RETRY)
            except OSError as error:
                written.put(error)
                break
        written.put(len(piece))
    os.close(fd)
