"""Writes to a pipe, a terminal or a socket without ever blocking, even if other processes write there too, and
block."""

from __future__ import annotations

import os
import select
import socket
from stat import S_ISSOCK
from typing import Protocol

from gotunnel.cli.logwriter import LogWriter

__all__ = ["LogDestination", "destination_of"]


class LogDestination(Protocol):
    """Writes to where a descriptor leads."""

    def write(self, data: bytes) -> int:
        """Write at most PIPE_BUF bytes, and return how many were accepted; 0 means none at the moment. Raises OSError
        if no more will ever be accepted."""

    def takes(self, seconds: float) -> bool:
        """Wait up to `seconds` until it accepts data again, or breaks; return whether one of them has happened. Below
        zero, return False at once."""

    def finish(self, seconds: float) -> None:
        """Wait up to `seconds` until the accepted data has been written. Below zero, return at once."""

    def close(self) -> None:
        """Release it. The descriptor that it was made from stays open."""


def destination_of(fd: int) -> LogDestination:
    """Return the destination to which `fd` leads. Whether a descriptor blocks is a setting shared by all processes that
    have inherited it. So a pipe or a terminal is opened a second time, and a socket gets a flag with each call. If the
    user may not open an inherited descriptor, or there is no /proc, a thread does the blocking. Raises OSError for a
    closed descriptor, and if no thread can be started."""
    if S_ISSOCK(os.fstat(fd).st_mode):
        return _Socket(socket.socket(fileno=os.dup(fd)))
    try:
        again = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return LogWriter(fd)
    return _Opened(again)


class _Opened:
    """A non-blocking descriptor of our own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, data: bytes) -> int:
        """See LogDestination."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def takes(self, seconds: float) -> bool:
        """See LogDestination."""
        return seconds >= 0 and bool(self._poll.poll(seconds * 1000))

    def finish(self, seconds: float) -> None:
        """See LogDestination."""

    def close(self) -> None:
        """See LogDestination."""
        os.close(self._fd)


class _Socket(_Opened):
    """A socket that other processes share."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end.fileno())
        self._end = end

    def write(self, data: bytes) -> int:
        """See LogDestination."""
        try:
            return self._end.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """See LogDestination."""
        self._end.close()
