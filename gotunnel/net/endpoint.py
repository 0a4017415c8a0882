"""What Twisted connects to an address with. Names are resolved anew at each attempt; an IP address is not a name, and
to ask the system's resolver for it would cost a thread's turn and more than the connection itself."""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from gotunnel.address import HostPort, InProcess
from gotunnel.interfaces import ITransportProvider
from gotunnel.net.ipendpoint import IpEndpoint

__all__ = ["InsideEndpoint", "TcpTransport", "tcp_endpoint"]


def tcp_endpoint(reactor: Any, address: HostPort, timeout: float) -> IStreamClientEndpoint:
    """Return the endpoint. `timeout` (seconds) is for each address of a name, not for looking it up."""
    try:
        ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        # Loaded by who connects to a name, and by nobody else: it takes memory at rest.
        from twisted.internet.endpoints import HostnameEndpoint

        return HostnameEndpoint(reactor, address.host, address.port, timeout=timeout)
    return IpEndpoint(reactor, address.host, address.port, timeout)


@implementer(IStreamClientEndpoint)
class InsideEndpoint:
    """What a target in this very process is looked at with."""

    def __init__(self, target: InProcess) -> None:
        self._target = target

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        found: Deferred[IProtocol] = self._target.look(protocolFactory)
        return found


@implementer(ITransportProvider)
class TcpTransport:
    """What carries a client's connections where its configuration names nothing else."""

    def __init__(self, reactor: Any, options: Any = None) -> None:
        self._reactor = reactor

    def endpoint(self, server: HostPort, address: HostPort, timeout: float) -> IStreamClientEndpoint:
        """See ITransportProvider."""
        return tcp_endpoint(self._reactor, address, timeout)
