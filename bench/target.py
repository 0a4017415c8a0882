"""The service behind the tunnels, one process for all of them. Prints its port, and another one for each line that it
reads: connections that are over stay in TIME_WAIT for a minute, and the next one to the same port has to look for a
local port between them. Serves until its input ends.

A connection's first byte says what it wants and is sent back: `E` to hear everything again, `D` to get as many bytes as
each number says that it sends (8 bytes, big-endian), `U` to send that many and get one byte.
"""

from __future__ import annotations

import os
import select
import socket
import sys

__all__ = ["main"]

_CHUNK = 1 << 18
_ZEROS = memoryview(bytes(_CHUNK))
_BUFFER = bytearray(_CHUNK)


class _Connection:
    __slots__ = ("mode", "owed", "sock", "wanted")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.mode = b""
        self.owed = 0  # bytes still to be sent (D)
        self.wanted = 0  # bytes still to come (U)


class _Target:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._listening: dict[int, socket.socket] = {}
        self._open: dict[int, _Connection] = {}

    def listen(self) -> int:
        """Open one more port, and return it."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        listening.setblocking(False)
        # Inherited by what is accepted: one system call for all of them.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._epoll.register(listening.fileno(), select.EPOLLIN)
        self._listening[listening.fileno()] = listening
        return int(listening.getsockname()[1])

    def serve(self) -> None:
        self._tell()
        while True:
            for fd, _ in self._epoll.poll():
                if fd in self._listening:
                    self._accept(self._listening[fd])
                elif fd == 0:
                    asked = os.read(0, _CHUNK).count(b"\n")
                    if not asked:
                        return
                    for _ in range(asked):
                        self._tell()
                else:
                    connection = self._open[fd]
                    try:
                        if not self._serve(connection):
                            self._drop(fd)
                    except BlockingIOError:
                        pass
                    except OSError:
                        self._drop(fd)

    def _tell(self) -> None:
        sys.stdout.write(f"{self.listen()}\n")
        sys.stdout.flush()

    def _accept(self, listening: socket.socket) -> None:
        try:
            while True:
                sock, _ = listening.accept()
                sock.setblocking(False)
                self._open[sock.fileno()] = _Connection(sock)
                self._epoll.register(sock.fileno(), select.EPOLLIN)
        except BlockingIOError:
            pass

    def _drop(self, fd: int) -> None:
        self._open.pop(fd).sock.close()

    def _serve(self, connection: _Connection) -> bool:
        """Go on with a connection; return whether it is still there."""
        sock = connection.sock
        if connection.owed:
            return self._send(connection)
        if connection.wanted:
            # MSG_TRUNC on TCP takes bytes without copying them.
            taken = sock.recv_into(_BUFFER, min(connection.wanted, _CHUNK), socket.MSG_TRUNC)
            connection.wanted -= taken
            if taken and not connection.wanted:
                sock.send(b"U")
            return taken > 0
        if connection.mode in (b"D", b"U"):
            return self._request(connection)
        data = sock.recv(_CHUNK)
        if not data:
            return False
        connection.mode = connection.mode or data[:1]
        return sock.send(data) == len(data)

    def _request(self, connection: _Connection) -> bool:
        number = connection.sock.recv(8)
        if len(number) != 8:
            return False
        if connection.mode == b"U":
            connection.wanted = int.from_bytes(number, "big")
            return True
        connection.owed = int.from_bytes(number, "big")
        self._epoll.modify(connection.sock.fileno(), select.EPOLLOUT)
        return True

    def _send(self, connection: _Connection) -> bool:
        connection.owed -= connection.sock.send(_ZEROS[: min(connection.owed, _CHUNK)])
        if not connection.owed:
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN)
        return True


def main() -> None:
    """Serve until standard input ends."""
    _Target().serve()


if __name__ == "__main__":
    main()
