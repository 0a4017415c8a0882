"""Tunnels for programs without a reactor: a thread with its own reactor, and blocking calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from gotunnel.api.port import PublicPort
from gotunnel.api.reactors import dispose, here, new_reactor
from gotunnel.api.tunnel import Tunnel

__all__ = ["Background", "BackgroundPort", "ReactorThread"]

T = TypeVar("T")


class ReactorThread:
    """A thread with an asyncio loop and a reactor on it, from `start` to `end`."""

    def __init__(self) -> None:
        self.reactor: Any = None
        """Only for use within `call`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gotunnel", daemon=True)

    def start(self) -> None:
        """Return when the thread runs."""

        async def begin() -> None:
            self.reactor = new_reactor(self._loop)

        self._thread.start()
        self.call(begin)

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run an asyncio coroutine in the thread; return its result, or raise its exception. `make` is called in the
        thread, too, because it may start work at once, and nothing here is safe for a second thread."""

        async def run() -> T:
            return await make()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._loop.is_closed()

    def end(self) -> None:
        """Return when the thread has ended. Harmless when called again."""
        if self.ended:
            return
        try:
            if self._thread.is_alive():
                self.call(lambda: dispose(self.reactor))
        finally:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
            self._loop.close()


class BackgroundPort:
    """A port that is open until `close`. Its text is its address; `host` and `port` are the parts of that."""

    def __init__(self, thread: ReactorThread, port: PublicPort) -> None:
        self._thread = thread
        self._port = port
        address = port.address
        self.host = "" if address is None else address.host
        self.port = 0 if address is None else address.port

    def __str__(self) -> str:
        return str(self._port.address or self._port.name)

    def close(self) -> None:
        """Return when the server has closed the port. Harmless when called again, or after the tunnel was closed."""
        if self._thread.ended:
            return
        self._thread.call(lambda: here(self._port.stopListening()))


class Background:
    """A tunnel with blocking calls: `with Background("server.example:17000") as tunnel: tunnel.expose(8000)`. The
    options are those of Tunnel."""

    def __init__(self, server: str | None = None, **options: Any) -> None:
        """Raises ConfigError for options that Tunnel refuses."""
        self._tunnel = Tunnel(server, **options)
        self._thread = ReactorThread()

    def __enter__(self) -> Background:
        """Start the thread. Nothing connects yet."""
        self._thread.start()
        self._tunnel._reactor = self._thread.reactor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all ports and end the thread."""
        self.close()

    def expose(self, what: int | str, remote: int | str | None = None, **options: Any) -> BackgroundPort:
        """Return when the port is open; see `Tunnel.expose`."""
        port = self._thread.call(lambda: here(self._tunnel.expose(what, remote, **options)))
        return BackgroundPort(self._thread, port)

    def close(self) -> None:
        """Close all ports and end the thread. Harmless when called again."""
        self._thread.end()
