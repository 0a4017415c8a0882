"""The floor of what bulk costs through two hops: a connection for each visitor, `splice` from kernel to kernel, and
nothing else. No frames, no names, no proof, no limits; what breaks is dropped. Of no use but to be measured.

With a third word it asks for that congestion control on all its connections: what is the system's decides most of it.

    python -m bench.spliced server CONTROL PUBLIC [reno]
    python -m bench.spliced client CONTROL TARGET [reno]
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
from collections.abc import Callable

__all__ = ["main"]

HOST = "127.0.0.1"
SPARE = 16
"""Connections that are there for visitors to come."""
CHUNK = 1 << 20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of fcntl.h
_FLAGS = 3  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT

_epoll = select.epoll()
_handlers: dict[int, Callable[[int], None]] = {}


class End:
    """One connection of the two that are joined, and the pipe through which its bytes go to the other."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.other: End | None = None
        self._mask = _IN
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK)
        fcntl.fcntl(self._writer, _SET_PIPE_SIZE, CHUNK)
        self._held = 0
        _handlers[self.fd] = self._handle
        _epoll.register(self.fd, _IN)

    def _handle(self, events: int) -> None:
        other = self.other
        assert other is not None
        try:
            if events & _OUT and other._push():
                self._watch(self._mask & ~_OUT)
                other._watch(other._mask | _IN)
            if events & _IN and self._mask & _IN:
                self._held = os.splice(self.fd, self._writer, CHUNK, flags=_FLAGS)
                if not self._held:
                    self._watch(self._mask & ~_IN)
                    other.sock.shutdown(socket.SHUT_WR)
                elif not self._push():
                    self._watch(self._mask & ~_IN)
                    other._watch(other._mask | _OUT)
            if not events & select.EPOLLHUP:
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close()
        other._close()

    def _push(self) -> bool:
        """Pass on what the pipe holds; False when some of it waits."""
        assert self.other is not None
        try:
            while self._held:
                self._held -= os.splice(self._reader, self.other.fd, self._held, flags=_FLAGS)
        except BlockingIOError:
            return False
        return True

    def _watch(self, mask: int) -> None:
        if mask != self._mask:
            self._mask = mask
            _epoll.modify(self.fd, mask)

    def _close(self) -> None:
        if _handlers.pop(self.fd, None) is not None:
            self.sock.close()
            os.close(self._reader)
            os.close(self._writer)


def _join(one: socket.socket, other: socket.socket) -> None:
    first, second = End(one), End(other)
    first.other, second.other = second, first


def _made(control: str) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if control:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    return sock


def _listen(port: int, control: str, accepted: Callable[[socket.socket], None]) -> None:
    listening = _made(control)  # what it accepts has its options
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen(1024)
    _handlers[listening.fileno()] = lambda events: accepted(listening.accept()[0])
    _epoll.register(listening.fileno(), _IN)


def _dialled(port: int, control: str) -> socket.socket:
    sock = _made(control)
    sock.connect((HOST, port))
    return sock


def _serve(port: int, public: int, control: str) -> None:
    idle: list[socket.socket] = []

    def came(visitor: socket.socket) -> None:
        if idle:
            _join(visitor, idle.pop())
        else:
            visitor.close()

    _listen(port, control, idle.append)
    _listen(public, control, came)


def _bring(port: int, target: int, control: str) -> None:
    def bring() -> None:
        waiting = _dialled(port, control)

        def first(events: int) -> None:
            del _handlers[waiting.fileno()]
            _epoll.unregister(waiting.fileno())
            _join(waiting, _dialled(target, control))
            bring()

        _handlers[waiting.fileno()] = first
        _epoll.register(waiting.fileno(), _IN)

    for _ in range(SPARE):
        bring()
    sys.stdout.write("connected\n")
    sys.stdout.flush()


def main(words: list[str]) -> None:
    """Run one end until it is killed."""
    role, control, other, *name = words
    (_serve if role == "server" else _bring)(int(control), int(other), "".join(name))
    while True:
        for fd, events in _epoll.poll(-1, 64):
            handler = _handlers.get(fd)
            if handler is not None:
                handler(events)


if __name__ == "__main__":
    main(sys.argv[1:])
