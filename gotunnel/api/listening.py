"""Targets in this process: what visitors of a mapping reach is a protocol factory, or a Twisted endpoint that is
connected for each of them."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, execute
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure

from gotunnel.api.addresses import TunnelAddress, twisted_address
from gotunnel.api.bridge import Bridge
from gotunnel.api.inside import InsideTransport, joined
from gotunnel.api.session import Session
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal
from gotunnel.logs import Logger
from gotunnel.net.pairtransport import PairTransport
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.reasons import words_of

__all__ = ["EndpointListener", "FactoryListener"]

PROBE = TunnelAddress("health-check")
"""The health check's address, as the protocols of a listener see it."""
CONNECT = 10.0
"""Seconds for an endpoint to connect. The server gives up its visitor five seconds later."""


class FactoryListener:
    """Gives each visitor of the mapping `name` a protocol from a factory. It serves from `open` to `close`."""

    log = Logger()

    def __init__(self, factory: IProtocolFactory, session: Session) -> None:
        self.name = ""
        self._factory = factory
        self._session = session
        self._open = False

    def open(self, port: object) -> None:
        """The port is about to open."""
        self._open = True
        self._factory.doStart()

    def opened(self) -> None:
        """The port is open. Nothing to do: the first visitor shows that."""

    def close(self) -> None:
        """The port is closed. Harmless when called again."""
        if self._open:
            self._open = False
            self._factory.doStop()

    def arrive(self, source: str) -> ILocal:
        """See InProcess."""
        if not self._open:
            raise DialFailed("refused", "the port is closed")
        peer = twisted_address(source)
        return self._begun(self._protocol(peer), source, peer)

    def look(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See InProcess. Both ends are in this process, with no relay between them."""
        return execute(self._looked, factory)

    def _looked(self, factory: IProtocolFactory) -> IProtocol:
        if not self._open:
            raise DialFailed("refused", "the port is closed")
        visited = self._protocol(PROBE)
        visiting = factory.buildProtocol(PROBE)
        assert visiting is not None
        host, reactor = self._session.public_address(self.name, None), self._session.reactor
        try:
            near, far = socket.socketpair()
        except OSError as failed:
            raise DialFailed("no_fds", Sentence("no pair of sockets: {failed}", failed=failed)) from None
        one = PairTransport(near, visiting, host, PROBE, reactor, "health")
        other = PairTransport(far, visited, PROBE, host, reactor, "health")
        try:
            visited.makeConnection(other)
        except Exception:  # noqa: BLE001 - whatever the program's code raises
            self.log.failure("a protocol of a listener in this process, when its connection was made")
            other.abortConnection()
            one.abortConnection()
            raise DialFailed("failed", "the protocol of the listener failed") from None
        visiting.makeConnection(one)
        return visiting

    def _protocol(self, peer: IAddress) -> IProtocol:
        try:
            protocol = self._factory.buildProtocol(peer)
        except Exception:  # noqa: BLE001 - whatever the program's code raises
            self.log.failure("the factory of a listener in this process")
            raise DialFailed("failed", "the factory of the listener failed") from None
        if protocol is None:
            raise DialFailed("refused", "the factory of the listener accepts nothing now")
        return protocol

    def _begun(self, protocol: IProtocol, source: str, peer: IAddress) -> ILocal:
        session = self._session
        near, far = joined(session.relay, source, str(getattr(peer, "host", "")))
        host = session.public_address(self.name, None)
        transport = InsideTransport(far, protocol, near, peer, host, session.reactor)
        try:
            transport.begin()
        except Exception:  # noqa: BLE001 - whatever the program's code raises
            self.log.failure("a protocol of a listener in this process, when its connection was made")
            raise DialFailed("failed", "the protocol of the listener failed") from None
        return near


class EndpointListener:
    """Connects an endpoint for each visitor, and joins the two. See FactoryListener."""

    def __init__(self, endpoint: IStreamClientEndpoint, session: Session) -> None:
        self.name = ""
        self._endpoint = endpoint
        self._session = session
        self._open = False

    def open(self, port: object) -> None:
        """The port is about to open."""
        self._open = True

    def opened(self) -> None:
        """See FactoryListener."""

    def close(self) -> None:
        """The port is closed."""
        self._open = False

    def arrive(self, source: str) -> Deferred[ILocal]:
        """See InProcess. Here, connecting the endpoint is the dial."""
        if not self._open:
            raise DialFailed("refused", "the port is closed")
        far_end = Bridge()
        connected: Deferred[Any] = self._endpoint.connect(OneProtocol(lambda: far_end))
        connected.addTimeout(CONNECT, self._session.reactor, _late)
        return connected.addCallbacks(lambda _: self._joined(far_end, source), _failed)

    def look(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See InProcess."""
        return self._endpoint.connect(factory)

    def _joined(self, far_end: Bridge, source: str) -> ILocal:
        session, peer, visitor = self._session, twisted_address(source), Bridge()
        try:
            near, far = joined(session.relay, source, str(getattr(peer, "host", "")))
        except DialFailed:
            far_end.abort()
            raise
        visitor.meet(far_end)
        InsideTransport(far, visitor, near, peer, session.public_address(self.name, None), session.reactor).begin()
        return near


def _late(_: object, seconds: float) -> Any:
    raise DialFailed("timeout", Sentence(
        "the endpoint has not connected within {seconds:g} s", seconds=seconds
    ))


def _failed(failure: Failure) -> Any:
    if failure.check(CancelledError, error.ConnectingCancelledError):
        raise CancelledError from None
    if failure.check(DialFailed):
        return failure
    code = "refused" if failure.check(error.ConnectionRefusedError) else "failed"
    raise DialFailed(code, Sentence(
        "the endpoint does not connect: {failure}", failure=words_of(failure.value)
    )) from None
