"""A relay on the path between client and server that can cut or stall one chosen connection. It alters no byte."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

from tests.e2e.harness import TunnelTestCase
from tests.processes import DEADLINE

__all__ = ["Middle"]

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: a close is a reset."""


class _Path:
    """One connection through the relay: two ends, which there are when it is whole."""

    def __init__(self) -> None:
        self.ends: list[_End] = []
        self.stalled = False
        self.over = False

    def cut(self) -> None:
        """Reset whatever still stands."""
        self.over = True
        for end in self.ends:
            if not end.closed:
                end.closed = True
                end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.transport.abort()


class _End(asyncio.Protocol):
    """One of the two sockets of a path."""

    transport: asyncio.Transport
    other: _End | None = None

    def __init__(self, path: _Path) -> None:
        self.path = path
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.path.ends.append(self)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        if not self.path.stalled:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        assert self.other is not None
        if not self.path.stalled:
            self.other.transport.write_eof()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.closed:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.closed:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.path.stalled:
            self.path.cut()


class _Near(_End):
    """The end that was accepted: it dials the other one."""

    def __init__(self, middle: Middle) -> None:
        super().__init__(_Path())
        self._middle = middle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        self._middle.paths.append(self.path)
        self._dialling = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        far = _End(self.path)
        far.other = self
        try:
            await loop.create_connection(lambda: far, *self._middle.target)
        except OSError:
            self.path.cut()
            return
        if self.path.over:
            far.transport.abort()
            return
        self.other = far
        self.transport.resume_reading()


class Middle:
    """Passes what connects to `address` on to a server. Connections are numbered from 0 in the order of their accept:
    the first one of a client is its control connection."""

    def __init__(self, case: TunnelTestCase, host: str, port: int) -> None:
        self.target = host, port
        self.paths: list[_Path] = []
        self._case = case
        self._loop = asyncio.new_event_loop()
        listening = socket.create_server((case.host, 0))
        self.address = f"{case.host}:{listening.getsockname()[1]}"
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Near(self), sock=listening)
        )
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        case.addCleanup(self._close)

    def cut(self, number: int) -> None:
        """Reset both ends of a connection."""
        self._loop.call_soon_threadsafe(self.paths[number].cut)
        self._case.wait_until(lambda: self.paths[number].over, f"the end of connection {number}")

    def stall(self, number: int) -> None:
        """Pass nothing more on: no byte, no end, no reset."""
        self.paths[number].stalled = True

    def _close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(DEADLINE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for path in self.paths:
            path.cut()
        await asyncio.sleep(0)  # the turn in which aborted transports close their sockets
