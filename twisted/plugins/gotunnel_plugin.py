"""Tells `twistd` and `twist` of the two roles, and Twisted of endpoints called `gotunnel`. Every Twisted program on the
machine imports this file, and so it imports nothing of gotunnel and no reactor before that is asked for."""

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

    # Positional only: an option of a string may be called `reactor`, too, and is then refused as any unknown one.

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
        """The same for clients."""
        from gotunnel.api.strings import client_endpoint

        endpoint: IStreamClientEndpoint = client_endpoint(reactor, *args, **kwargs)
        return endpoint


gotunnel_endpoints = GotunnelEndpoints()
