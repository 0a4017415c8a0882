"""The visitors, one process for all of them: reads commands as lines of JSON, does one after another, answers each with
a line. It counts and takes the time; nobody counts its own CPU.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from statistics import median
from typing import Any

__all__ = ["Load", "main"]

_PATIENCE = 5.0
"""Seconds that a single answer may take; a tunnel that needs more has lost it."""

_CHUNK = 1 << 18
_ZEROS = memoryview(bytes(_CHUNK))
_BUFFER = bytearray(_CHUNK)


class Load:
    """The commands. Each returns what its line of answer holds: `done`, `seconds` and more. Raises OSError."""

    def __init__(self) -> None:
        self._groups: dict[str, list[socket.socket]] = {}

    def knock(
        self, port: int, count: int, at_once: int, seconds: float, mode: str = "E", keep: str | None = None
    ) -> dict[str, Any]:
        """Connect, send one byte and get it back, `count` times; close then, or keep it in a group."""
        group = None if keep is None else self._groups.setdefault(keep, [])
        epoll = select.epoll()
        waiting: dict[int, socket.socket] = {}
        done, byte, answers = 0, mode.encode(), []
        began = time.perf_counter()
        while done < count:
            while len(waiting) < at_once and done + len(waiting) < count:
                if time.perf_counter() - began > seconds:
                    count = done + len(waiting)
                    break
                sock = socket.create_connection(("127.0.0.1", port), _PATIENCE)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.send(byte)
                waiting[sock.fileno()] = sock
                epoll.register(sock.fileno(), select.EPOLLIN)
            if not waiting:  # time was up, and all have their answer
                break
            ready = epoll.poll(_PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer in {_PATIENCE:.0f} s to {len(waiting)} of {count} visitors")
            for fd, _ in ready:
                sock = waiting.pop(fd)
                if sock.recv(2) != byte:
                    raise ConnectionError(f"visitor {done + 1} of {count} got no answer, but an end")
                done += 1
                if done == 1:
                    answers.append(time.perf_counter() - began)
                if group is None:
                    sock.close()
                else:
                    epoll.unregister(fd)
                    group.append(sock)
        epoll.close()
        return {"done": done, "seconds": time.perf_counter() - began, "first": answers[0] if answers else None}

    def leave(self, group: str) -> dict[str, Any]:
        """Close the connections of a group."""
        sockets = self._groups.pop(group, [])
        for sock in sockets:
            sock.close()
        return {"done": len(sockets), "seconds": 0.0}

    def exchange(self, group: str, count: int, size: int, seconds: float) -> dict[str, Any]:
        """Send `size` bytes and get them back, `count` times on each connection of a group, on all at the same time."""
        sockets = self._groups[group]
        if len(sockets) == 1:
            return self._exchange_alone(sockets[0], count, size, seconds)
        message, missing = bytes(size), {sock.fileno(): [sock, size, count] for sock in sockets}
        epoll = select.epoll()
        for fd in missing:
            epoll.register(fd, select.EPOLLIN)
        done, began = 0, time.perf_counter()
        for sock in sockets:
            sock.sendall(message)
        while missing:
            ready = epoll.poll(_PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer in {_PATIENCE:.0f} s on {len(missing)} connections")
            late = time.perf_counter() - began > seconds
            for fd, _ in ready:
                state: list[Any] = missing[fd]
                taken = len(state[0].recv(state[1]))
                if not taken:
                    raise ConnectionError("a connection ended in the middle")
                state[1] -= taken
                if state[1]:
                    continue
                done += 1
                state[1:] = size, state[2] - 1
                if state[2] and not late:
                    state[0].send(message)
                else:
                    epoll.unregister(fd)
                    del missing[fd]
        epoll.close()
        return {"done": done, "seconds": time.perf_counter() - began}

    def _exchange_alone(self, sock: socket.socket, count: int, size: int, seconds: float) -> dict[str, Any]:
        message, clock = bytes(size), time.perf_counter
        took: list[float] = []
        began = last = clock()
        while len(took) < count and last - began < seconds:
            sock.send(message)
            missing = size
            while missing:
                taken = len(sock.recv(missing))
                if not taken:
                    raise ConnectionError("the connection ended in the middle")
                missing -= taken
            now = clock()
            took.append(now - last)
            last = now
        return {"done": len(took), "seconds": last - began, "median": median(took)}

    def download(self, group: str, size: int) -> dict[str, Any]:
        """Get `size` bytes on each connection of a group (mode D), on all at the same time."""
        sockets = {sock.fileno(): sock for sock in self._groups[group]}
        left = dict.fromkeys(sockets, size)
        epoll = select.epoll()
        began = time.perf_counter()
        for fd, sock in sockets.items():
            epoll.register(fd, select.EPOLLIN)
            sock.sendall(size.to_bytes(8, "big"))
        while left:
            for fd, _ in self._events(epoll):
                # MSG_TRUNC on TCP takes bytes without copying them.
                taken = sockets[fd].recv_into(_BUFFER, min(left[fd], _CHUNK), socket.MSG_TRUNC)
                if not taken:
                    raise ConnectionError(f"a download ended {left[fd]} bytes early")
                left[fd] -= taken
                if not left[fd]:
                    epoll.unregister(fd)
                    del left[fd]
        epoll.close()
        return {"done": size * len(sockets), "seconds": time.perf_counter() - began}

    def upload(self, group: str, size: int) -> dict[str, Any]:
        """Send `size` bytes on each connection of a group (mode U), on all at the same time, and get the answers."""
        sockets = {sock.fileno(): sock for sock in self._groups[group]}
        left = dict.fromkeys(sockets, size)
        epoll = select.epoll()
        began = time.perf_counter()
        for fd, sock in sockets.items():
            sock.sendall(size.to_bytes(8, "big"))
            sock.setblocking(False)
            epoll.register(fd, select.EPOLLOUT)
        while left:
            for fd, events in self._events(epoll):
                if events & select.EPOLLIN:
                    if left[fd] or sockets[fd].recv(2) != b"U":
                        raise ConnectionError(f"an upload ended {left[fd]} bytes early")
                    epoll.unregister(fd)
                    del left[fd]
                    continue
                left[fd] -= sockets[fd].send(_ZEROS[: min(left[fd], _CHUNK)])
                if not left[fd]:
                    epoll.modify(fd, select.EPOLLIN)
        epoll.close()
        took = time.perf_counter() - began
        for sock in sockets.values():
            sock.settimeout(_PATIENCE)
        return {"done": size * len(sockets), "seconds": took}

    @staticmethod
    def _events(epoll: select.epoll) -> list[tuple[int, int]]:
        ready = epoll.poll(_PATIENCE)
        if not ready:
            raise TimeoutError(f"nothing moved for {_PATIENCE:.0f} s")
        return ready


def main() -> None:
    """Serve standard input until it ends."""
    load = Load()
    commands = {name: getattr(load, name) for name in ("knock", "leave", "exchange", "download", "upload")}
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = commands[asked.pop("do")](**asked)
        except OSError as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
