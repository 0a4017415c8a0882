"""Writes to a descriptor that waits, in a thread of its own: it waits there, and nobody else does."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from queue import Empty, SimpleQueue

__all__ = ["MOST_TAKEN", "LogWriter"]

MOST_TAKEN = 16 * select.PIPE_BUF
"""Bytes that the thread is handed at most ahead of the one that it writes: what a pipe of Linux holds."""
RETRY = 0.05
"""Seconds after which the thread tries again where another process has made the descriptor one that does not wait."""


class LogWriter:
    """A LogDestination. Not for several threads at once, as its caller has a lock; and no lock is taken here that the
    thread of its own takes as well, since a finalizer that runs there may log. Raises OSError where no thread can be
    had."""

    _error: OSError | None

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)
        try:
            self._begin()
        except OSError:
            os.close(self._fd)
            raise

    def write(self, data: bytes) -> int:
        """See LogDestination. What is raised is of a piece that was taken before."""
        if self._process != os.getpid():
            self._begin()  # a thread stays behind in the process that has forked
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
        """See LogDestination. What was taken is written first."""
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
        """Wait until so many bytes at most are taken and not written; say whether that came to be."""
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
    # The main thread alone is to be interrupted by signals; but a terminal may stop the process that writes from the
    # background.
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
