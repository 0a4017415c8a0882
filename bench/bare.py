"""The floor of what a relay in Python costs: framed legs that are reused, recv and send, one epoll loop, and nothing
else. No names, no proof, no TLS, no limits, no log, no time-outs; what breaks is dropped. Of no use but to be measured.

It shows which part of gotunnel's own figures is the price of a tunnel at all, and which that of being one that can be
left alone.

    python -m bench.bare server CONTROL PUBLIC
    python -m bench.bare client CONTROL TARGET
"""

from __future__ import annotations

import select
import socket
import sys
from collections import deque
from collections.abc import Callable

__all__ = ["main"]

HOST = "127.0.0.1"
LEGS, SPARE = 64, 16
"""Legs at the start, and idle ones that are there at any time."""
HEADER = 4
OPEN, FIN = 0xFFFFFFFF, 0
"""Headers that are no length of a piece of data."""

_epoll = select.epoll()
_handlers: dict[int, Callable[[int], None]] = {}
_BUFFER = bytearray(1 << 18)
_VIEW = memoryview(_BUFFER)


class Leg:
    """One leg at either end, and the connection that it carries."""

    def __init__(self, sock: socket.socket, opened: Callable[[Leg], None], idle: Callable[[Leg], None]) -> None:
        self._sock = sock
        self._opened = opened
        self._idle = idle
        self._local: socket.socket | None = None
        self._fd = -1
        self._ended = 0  # directions
        self._rest = b""  # the beginning of a header
        self._left = 0  # bytes of the current piece still to come
        _watch(sock, self._from_leg)

    def carry(self, local: socket.socket, open_it: bool = False) -> None:
        """Take a connection on; the end that opens sends its first bytes along."""
        local.setblocking(False)
        self._local, self._fd, self._ended = local, local.fileno(), 0
        size = 0
        if open_it:
            try:
                size = local.recv_into(_VIEW[2 * HEADER :])
            except BlockingIOError:
                pass
            _BUFFER[:HEADER] = OPEN.to_bytes(HEADER, "big")
            _BUFFER[HEADER : 2 * HEADER] = size.to_bytes(HEADER, "big")
            _send(self._sock, _VIEW[: 2 * HEADER + size] if size else _VIEW[:HEADER])
        _watch(local, self._from_local)

    def _from_local(self, events: int) -> None:
        assert self._local is not None
        try:
            size = self._local.recv_into(_VIEW[HEADER:])
        except BlockingIOError:
            return
        except OSError:
            size = 0
        _BUFFER[:HEADER] = size.to_bytes(HEADER, "big")
        _send(self._sock, _VIEW[: HEADER + size])
        if not size:
            _epoll.modify(self._fd, 0)
            self._end()

    def _from_leg(self, events: int) -> None:
        size = self._sock.recv_into(_VIEW)
        if not size:
            sys.exit(0)
        data = memoryview(self._rest + bytes(_VIEW[:size])) if self._rest else _VIEW[:size]
        self._rest = b""
        while data:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                if self._local is not None:
                    _send(self._local, piece)
                continue
            if len(data) < HEADER:
                self._rest = bytes(data)
                return
            header, data = int.from_bytes(data[:HEADER], "big"), data[HEADER:]
            if header == OPEN:
                data = memoryview(bytes(data))  # the buffer is needed meanwhile
                self._opened(self)
            elif header == FIN:
                if self._local is not None:
                    try:
                        self._local.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
                self._end()
            else:
                self._left = header

    def _end(self) -> None:
        self._ended += 1
        if self._ended == 2 and self._local is not None:
            del _handlers[self._fd]
            self._local.close()
            self._local = None
            self._idle(self)


def _send(sock: socket.socket, data: memoryview) -> None:
    """Send all of it, if need be by waiting: who is slow holds everybody up here."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            select.select([], [sock], [])
        except OSError:
            return


def _watch(sock: socket.socket, handler: Callable[[int], None]) -> None:
    _handlers[sock.fileno()] = handler
    _epoll.register(sock.fileno(), select.EPOLLIN)


def _listen(port: int, accepted: Callable[[socket.socket], None]) -> None:
    listening = socket.create_server((HOST, port), backlog=1024)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited
    _watch(listening, lambda events: accepted(listening.accept()[0]))


def _serve(control: int, public: int) -> None:
    idle: list[Leg] = []
    waiting: deque[socket.socket] = deque()

    def free(leg: Leg) -> None:
        if waiting:
            leg.carry(waiting.popleft(), open_it=True)
        else:
            idle.append(leg)

    def came(visitor: socket.socket) -> None:
        if idle:
            idle.pop().carry(visitor, open_it=True)
        else:
            waiting.append(visitor)

    _listen(control, lambda sock: free(Leg(sock, lambda leg: None, free)))
    _listen(public, came)


def _bring(control: int, target: int) -> None:
    idle = 0

    def dial(leg: Leg) -> None:
        nonlocal idle
        idle -= 1
        if idle < SPARE:
            bring(SPARE)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex((HOST, target))
        leg.carry(sock)

    def free(leg: Leg) -> None:
        nonlocal idle
        idle += 1

    def bring(count: int) -> None:
        for _ in range(count):
            sock = socket.create_connection((HOST, control))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            free(Leg(sock, dial, free))

    bring(LEGS)
    sys.stdout.write("connected\n")
    sys.stdout.flush()


def main(words: list[str]) -> None:
    """Run one end until it is killed, or the other end goes."""
    role, control, other = words
    (_serve if role == "server" else _bring)(int(control), int(other))
    while True:
        for fd, events in _epoll.poll(-1, 64):
            handler = _handlers.get(fd)
            if handler is not None:
                handler(events)


if __name__ == "__main__":
    main(sys.argv[1:])
