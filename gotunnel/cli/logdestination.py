"""Writes to a pipe, a terminal or a socket and waits for nobody, though other processes write there too and may wait as
long as they like."""

from __future__ import annotations

import os
import select
import socket
from stat import S_ISSOCK

__all__ = ["LogDestination"]


class LogDestination:
    """What is written arrives where `fd` leads. Whether a descriptor waits is a setting that all who have inherited it
    share: so a pipe or a terminal is opened once more, and a socket is told with each call. Raises OSError for a
    descriptor that is closed."""

    def __init__(self, fd: int) -> None:
        self._socket: socket.socket | None = None
        self._certain = True
        if S_ISSOCK(os.fstat(fd).st_mode):
            self._socket = socket.socket(fileno=os.dup(fd))
            self._fd = self._socket.fileno()
        else:
            try:
                self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError:
                # No such files here, or a user who may not open what he was handed. A pipe that says that it takes
                # something takes PIPE_BUF bytes, unless another process is quicker; a terminal may take fewer, and
                # keep us waiting.
                self._fd = os.dup(fd)
                self._certain = False
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def write(self, data: bytes) -> int:
        """Write at most PIPE_BUF bytes, and return how many of them were taken; 0: none at the moment. Raises OSError
        where none ever will be."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            return os.write(self._fd, data) if self._certain or self.takes(0.0) else 0
        except BlockingIOError:
            return 0

    def takes(self, seconds: float) -> bool:
        """Wait so long for it to take something again; say whether it does, or has broken. Not at all below zero."""
        return seconds >= 0 and bool(self._poll.poll(seconds * 1000))

    def close(self) -> None:
        """Let go of it. The descriptor that it was made for stays open."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)
