"""gotunnel's extension points and internal boundaries as zope interfaces. The docstring of each interface is its
contract: who calls it, in what order, and what a failure does. The tests verify implementations against them."""

from __future__ import annotations

from gotunnel.interfaces.plugins import (
    EXTENSIONS,
    IAccessPolicy,
    IAuthenticator,
    IExtension,
    IHealthCheck,
    IKeyAuthenticator,
    IPortAllocator,
    ISocketTaker,
    IStreamObserver,
    ITransportListener,
    ITransportProvider,
)
from gotunnel.interfaces.relay import IDatagramRelay, ILeg, ILegOwner, ILocal, IRelay

__all__ = [
    "EXTENSIONS", "IAccessPolicy", "IAuthenticator", "IDatagramRelay", "IExtension", "IHealthCheck",
    "IKeyAuthenticator", "ILeg", "ILegOwner", "ILocal", "IPortAllocator", "IRelay", "ISocketTaker",
    "IStreamObserver", "ITransportListener", "ITransportProvider",
]  # fmt: skip
