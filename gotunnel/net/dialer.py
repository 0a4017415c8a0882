"""How a client reaches its server: resolve, connect, TLS, greet. One attempt at a time; when to try again is decided
elsewhere."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.python.failure import Failure

from gotunnel.address import HostPort
from gotunnel.errors import GotunnelError
from gotunnel.net.greeting import Greeted, Greeting
from gotunnel.net.quiet import OneProtocol

__all__ = ["ServerPath", "Unreachable"]


class Unreachable(GotunnelError):
    """The server could not be connected to; the text says why."""


class ServerPath:
    """The way from this client to one server. `tls` is None where the network is secret already."""

    def __init__(self, reactor: Any, address: HostPort, tls: IOpenSSLClientConnectionCreator | None) -> None:
        self.address = address
        self._reactor = reactor
        self._tls = tls

    @property
    def encrypted(self) -> bool:
        """Whether connections run inside TLS unless they are asked not to."""
        return self._tls is not None

    async def greet(self, greeting: Greeting, timeout: float, *, plain: bool = False) -> Greeted:
        """Connect and carry out `greeting`. The name is resolved anew each time.

        `timeout` is for the connect alone, in seconds; the greeting keeps its own. Raises Unreachable, AuthRejected or
        RemoteProtocolError. Cancelling closes whatever there is, and raises CancelledError.
        """
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, self.address.host, self.address.port, timeout=timeout
        )
        if self._tls is not None and not plain:
            endpoint = wrapClientTLS(self._tls, endpoint)
        connecting: Deferred[Any] = endpoint.connect(OneProtocol(lambda: greeting))
        try:
            await connecting
        except (CancelledError, error.ConnectingCancelledError):
            raise CancelledError from None
        except Exception as failed:  # noqa: BLE001 - whatever an endpoint fails with, the server cannot be reached
            raise Unreachable(f"cannot reach {self.address}: {_said(failed)}") from None
        return await greeting.done


def _said(failed: Exception) -> str:
    if isinstance(failed, error.ConnectionRefusedError):
        return "connection refused"
    if isinstance(failed, (error.TimeoutError, error.TCPTimedOutError)):
        return "no answer in time"
    if isinstance(failed, error.DNSLookupError):
        return "the name does not resolve"
    if isinstance(failed, error.NoRouteError):
        return "no route to it"
    return Failure(failed).getErrorMessage()
