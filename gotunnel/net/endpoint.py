"""Endpoints for Twisted. A name is resolved anew at each attempt. An IP address is not resolved: to ask the system's
resolver for it would cost a turn of a thread, and more than the connection itself."""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from gotunnel.address import HostPort, InProcess
from gotunnel.interfaces import ITransportProvider
from gotunnel.net.ipendpoint import IpEndpoint
from gotunnel.net.sockets import is_itself

__all__ = ["InsideEndpoint", "TcpTransport", "tcp_endpoint"]


def tcp_endpoint(reactor: Any, address: HostPort, timeout: float) -> IStreamClientEndpoint:
    """Return the endpoint. `timeout` (seconds) applies to each address of a name, not to the lookup."""
    try:
        ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        # Imported late: it costs an idle process memory, and only names need it.
        from twisted.internet.endpoints import HostnameEndpoint

        return _Named(HostnameEndpoint(reactor, address.host, address.port, timeout=timeout))
    return IpEndpoint(reactor, address.host, address.port, timeout)


@implementer(IStreamClientEndpoint)
class _Named:
    """Twisted's endpoint of a name, with a check for a connection to itself: see `is_itself`."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connecting.addCallback(_with_two_ends)


def _with_two_ends(protocol: Any) -> IProtocol:
    sock = getattr(protocol.transport, "socket", None)
    if sock is not None and is_itself(sock):
        protocol.transport.abortConnection()
        raise ConnectionRefusedError
    found: IProtocol = protocol
    return found


@implementer(IStreamClientEndpoint)
class InsideEndpoint:
    """Connects to a target within this process, to check it."""

    def __init__(self, target: InProcess) -> None:
        self._target = target

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        found: Deferred[IProtocol] = self._target.look(protocolFactory)
        return found


@implementer(ITransportProvider)
class TcpTransport:
    """The transport of a client's connections unless its configuration names another."""

    def __init__(self, reactor: Any, options: Any = None) -> None:
        self._reactor = reactor

    def endpoint(self, server: HostPort, address: HostPort, timeout: float) -> IStreamClientEndpoint:
        """See ITransportProvider."""
        return tcp_endpoint(self._reactor, address, timeout)
