"""Registers the two roles with `twistd` and `twist`, and endpoints called `gotunnel` with Twisted. Every Twisted
program on the machine imports this file, so it imports nothing of gotunnel, and no reactor, until one of them is
used."""

from typing import Any

from twisted.application.service import ServiceMaker
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

gotunnel_server = ServiceMaker(
    "gotunnel server",
    "gotunnel.tap.server",
    "A gotunnel server: publishes ports for clients behind NAT.",
    "gotunnel-server",
)

gotunnel_client = ServiceMaker(
    "gotunnel client",
    "gotunnel.tap.client",
    "A gotunnel client: publishes local ports on a gotunnel server.",
    "gotunnel-client",
)


@implementer(IPlugin, IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor)
class GotunnelEndpoints:
    """Reads `gotunnel:` strings for `serverFromString` and `clientFromString`."""

    prefix = "gotunnel"

    # Positional only: a string may have an option `reactor`, which is then refused like any unknown option.

    def parseStreamServer(  # type: ignore[override]
        self, reactor: Any, /, *args: Any, **kwargs: Any
    ) -> IStreamServerEndpoint:
        """Called by Twisted with the parts of a string."""
        from gotunnel.api.strings import server_endpoint

        endpoint: IStreamServerEndpoint = server_endpoint(reactor, *args, **kwargs)
        return endpoint

    def parseStreamClient(  # type: ignore[override]
        self, reactor: Any, /, *args: Any, **kwargs: Any
    ) -> IStreamClientEndpoint:
        """Called by Twisted with the parts of a string."""
        from gotunnel.api.strings import client_endpoint

        endpoint: IStreamClientEndpoint = client_endpoint(reactor, *args, **kwargs)
        return endpoint


gotunnel_endpoints = GotunnelEndpoints()
