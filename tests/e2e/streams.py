"""Streams whose pace a test sets: a target that sends for ever, one that reads for ever, one that does neither."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from tests.e2e.harness import TunnelTestCase
from tests.processes import DEADLINE

__all__ = ["CHUNK", "Pump", "source"]

CHUNK = bytes(range(256)) * 256
"""64 KiB."""


def source(amount: int) -> Callable[[socket.socket], None]:
    """Return a service that sends so many bytes to each visitor and then ends."""

    def serve(connection: socket.socket) -> None:
        for _ in range(amount // len(CHUNK)):
            connection.sendall(CHUNK)

    return serve


class Pump:
    """Moves bytes on one socket in a thread of its own: `write` offers so many, `read` takes all there are. `moved`
    counts them; `ending` is the error that ended it, None for a clean end. `wait` waits for that."""

    def __init__(self, case: TunnelTestCase, sock: socket.socket) -> None:
        self.moved = 0
        self.ending: OSError | None = None
        self._sock = sock
        self._thread: threading.Thread | None = None
        case.addCleanup(self._stop)

    def write(self, amount: int) -> Pump:
        def run() -> None:
            while self.moved < amount:
                self.moved += self._sock.send(CHUNK)

        return self._start(run)

    def read(self) -> Pump:
        def run() -> None:
            while data := self._sock.recv(1 << 16):
                self.moved += len(data)

        return self._start(run)

    def wait(self) -> OSError | None:
        assert self._thread is not None
        self._thread.join(DEADLINE)
        if self._thread.is_alive():
            raise AssertionError(f"after {self.moved} bytes a stream neither moves nor ends")
        return self.ending

    @property
    def over(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def _start(self, run: Callable[[], None]) -> Pump:
        def guarded() -> None:
            try:
                run()
            except OSError as error:
                self.ending = error

        self._sock.settimeout(
            None
        )  # a test waits for it with a deadline of its own, and its end closes the socket
        self._thread = threading.Thread(target=guarded, daemon=True)
        self._thread.start()
        return self

    def _stop(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._thread is not None:
            self._thread.join(DEADLINE)
