"""A tunnel as Twisted endpoints: code that listens on an endpoint can listen on a public server, and code that connects
to an endpoint can connect through the server."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from gotunnel.api.tunnel import Tunnel

__all__ = ["TunnelClientEndpoint", "TunnelServerEndpoint"]


@implementer(IStreamServerEndpoint)
class TunnelServerEndpoint:
    """Listens on the server's port `remote` (0: any free one), with no port here. `options` are those of
    `Tunnel.expose`."""

    def __init__(self, tunnel: Tunnel, remote: int | str = 0, **options: Any) -> None:
        self.tunnel = tunnel
        self.remote = remote
        self._options = options

    def __repr__(self) -> str:
        return f"<TunnelServerEndpoint {self.remote} of {self.tunnel!r}>"

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Fires with a `PublicPort` when visitors can connect. See `Tunnel.expose` for how it fails."""
        return self.tunnel.expose(protocolFactory, self.remote, **self._options)  # type: ignore[return-value]


@implementer(IStreamClientEndpoint)
class TunnelClientEndpoint:
    """Connects to `target`, as seen from the server. `options` are those of `Tunnel.dial`."""

    def __init__(self, tunnel: Tunnel, target: str, **options: Any) -> None:
        self.tunnel = tunnel
        self.target = target
        self._options = options

    def __repr__(self) -> str:
        return f"<TunnelClientEndpoint {self.target} of {self.tunnel!r}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fires with the protocol when the target has answered. See `Tunnel.dial` for how it fails."""
        return self.tunnel.dial(self.target, protocolFactory, **self._options)
