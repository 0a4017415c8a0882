"""Tunnels for programs without a reactor: a thread with one of its own, and calls that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from gotunnel.api.port import PublicPort
from gotunnel.api.reactors import dispose, here, new_reactor
from gotunnel.api.tunnel import Tunnel

__all__ = ["Background", "BackgroundPort"]

T = TypeVar("T")


class BackgroundPort:
    """A port that is open until `close`."""

    def __init__(self, background: Background, port: PublicPort) -> None:
        self._background = background
        self._port = port
        self.host = "" if port.address is None else port.address.host
        self.port = 0 if port.address is None else port.address.port

    def __str__(self) -> str:
        return str(self._port.address or self._port.name)

    def close(self) -> None:
        """Return when the server has closed it."""
        self._background.call(lambda: here(self._port.stopListening()))


class Background:
    """`with Background("server.example:17000") as tunnel: tunnel.expose(8000)`. The options are those of Tunnel."""

    def __init__(self, server: str | None = None, **options: Any) -> None:
        self._server = server
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gotunnel", daemon=True)
        self._reactor: Any = None
        self._tunnel: Tunnel | None = None

    def __enter__(self) -> Background:
        """Start the thread. Raises ConfigError."""
        self._thread.start()
        try:
            self.call(self._begin)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all ports and end the thread."""
        self.close()

    def expose(self, what: int | str, remote: int | str | None = None, **options: Any) -> BackgroundPort:
        """Return when the port is open; see `Tunnel.expose`."""

        async def opened() -> PublicPort:
            assert self._tunnel is not None
            return await here(self._tunnel.expose(what, remote, **options))

        return BackgroundPort(self, self.call(opened))

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine of asyncio in the thread, and return what it does or raise what it raises."""

        async def run() -> T:
            return await make()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    @property
    def reactor(self) -> Any:
        """The reactor of the thread: to be touched in there only."""
        return self._reactor

    def close(self) -> None:
        """Close all ports, and end the thread. Harmless when called again."""
        if self._loop.is_closed():
            return
        try:
            self.call(self._end)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _begin(self) -> None:
        self._reactor = new_reactor(self._loop)
        self._tunnel = Tunnel(self._server, reactor=self._reactor, **self._options)

    async def _end(self) -> None:
        if self._tunnel is not None:
            await here(self._tunnel.close())
        if self._reactor is not None:
            await dispose(self._reactor)
