"""A server on loopback for tests, in a thread of its own. Its token is random, so nobody else can use it."""

from __future__ import annotations

import secrets
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import SecretStr
from twisted.internet.defer import maybeDeferred

from gotunnel.address import HostPort
from gotunnel.api.reactors import here
from gotunnel.api.threads import ReactorThread
from gotunnel.config.model import ServerConfig
from gotunnel.server.service import ServerService, make_server

__all__ = ["LoopbackServer"]


class LoopbackServer:
    """Listens between `__enter__` and `__exit__`; its key is kept in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(32)
        self.address = ""
        self._folder = folder
        self._thread = ReactorThread()
        self._service: ServerService | None = None

    def __enter__(self) -> LoopbackServer:
        """Return when it listens."""
        self._thread.start()
        try:
            self._thread.call(self._begin)
        except BaseException:
            self._thread.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return when everything has ended."""
        try:
            self._thread.call(self._end)
        finally:
            self._thread.end()

    async def _begin(self) -> None:
        given: dict[str, Any] = {
            "addr": HostPort("127.0.0.1", 0), "token": SecretStr(self.token), "drain_timeout": 0.0,
        }  # fmt: skip
        self._service = service = make_server(ServerConfig(**given), self._thread.reactor, self._folder)
        service.startService()
        self.address = f"127.0.0.1:{service.address.port}"

    async def _end(self) -> None:
        if self._service is not None:
            await here(maybeDeferred(self._service.stopService))
