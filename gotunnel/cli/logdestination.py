"""Writes to a pipe, a terminal or a socket and waits for nobody, though other processes write there too and may wait as
long as they like."""

from __future__ import annotations

import os
import select
import socket
from stat import S_ISSOCK
from typing import Protocol

from gotunnel.cli.logwriter import LogWriter

__all__ = ["LogDestination", "destination_of"]


class LogDestination(Protocol):
    """What is written arrives where a descriptor leads."""

    def write(self, data: bytes) -> int:
        """Write at most PIPE_BUF bytes, and return how many of them were taken; 0: none at the moment. Raises OSError
        where none ever will be."""

    def takes(self, seconds: float) -> bool:
        """Wait so long for it to take something again; say whether it does, or has broken. Not at all below zero."""

    def finish(self, seconds: float) -> None:
        """Wait so long for what was taken to be written. Not at all below zero."""

    def close(self) -> None:
        """Let go of it. The descriptor that it was made for stays open."""


def destination_of(fd: int) -> LogDestination:
    """Return where `fd` leads. Whether a descriptor waits is a setting that all who have inherited it share: so a pipe
    or a terminal is opened once more, and a socket is told with each call; where a user may not open what he was
    handed, or there is no /proc, a thread waits. Raises OSError for a descriptor that is closed, and where no thread
    can be had."""
    if S_ISSOCK(os.fstat(fd).st_mode):
        return _Socket(socket.socket(fileno=os.dup(fd)))
    try:
        again = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return LogWriter(fd)
    return _Opened(again)


class _Opened:
    """A descriptor of our own that does not wait."""

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
    """The end of a socket that others have too."""

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
