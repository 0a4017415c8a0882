"""`async with expose(8000) as port:` on Twisted and on asyncio."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol

from gotunnel.api.port import PublicPort
from gotunnel.api.reactors import here
from gotunnel.api.tunnel import Tunnel

__all__ = ["Expose", "expose"]

_OF_PORT = ("mapping", "protocol", "idle", "encrypt", "health", "clients", "public", "group", "proxy_protocol")


class Expose:
    """The result of `expose`: an asynchronous context manager. It can be awaited instead; the port then stays until its
    `stopListening`."""

    def __init__(self, tunnel: Tunnel, what: Any, remote: int | str | None, options: dict[str, Any]) -> None:
        self._tunnel = tunnel
        self._what = what
        self._remote = remote
        self._options = options
        self._port: PublicPort | None = None

    async def _open(self) -> PublicPort:
        return await here(self._tunnel.expose(self._what, self._remote, **self._options))

    def __await__(self) -> Generator[Any, Any, PublicPort]:
        """Return the port when it is open."""
        return self._open().__await__()

    async def __aenter__(self) -> PublicPort:
        """Open the port."""
        self._port = await self._open()
        return self._port

    async def __aexit__(self, *_: object) -> None:
        """Close the port, and the session if nothing else uses it."""
        if self._port is not None:
            await here(self._port.stopListening())


def expose(
    what: int | str | IProtocolFactory | IStreamClientEndpoint | DatagramProtocol,
    remote: int | str | None = None,
    *,
    server: str | None = None,
    **options: Any,
) -> Expose:
    """Publish something: see `Tunnel.expose` for `what` and `remote`, and `Tunnel` and `Tunnel.expose` for the options.

    Within `async with expose(8000) as port:` the port is open, and `port.address` is its address. This works in a
    Twisted coroutine and in an asyncio task. Raises AuthRejected, PortUnavailable, NotConnected or ConfigError.
    """
    of_port = {key: options.pop(key) for key in _OF_PORT if key in options}
    return Expose(Tunnel(server, **options), what, remote, of_port)
