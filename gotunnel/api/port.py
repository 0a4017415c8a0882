"""A published mapping as a Twisted port: where it listens, and how it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

from gotunnel.address import HostPort
from gotunnel.api.addresses import TunnelAddress
from gotunnel.api.answers import Answer
from gotunnel.api.events import Event
from gotunnel.api.session import Session
from gotunnel.config.model import MappingConfig

__all__ = ["Listener", "PublicPort", "open_port"]


class Listener(Protocol):
    """What a port leads to, if it has to be notified of the port's state."""

    def open(self, port: PublicPort) -> None: ...
    def opened(self) -> None: ...
    def close(self) -> None: ...


@implementer(IListeningPort)
class PublicPort:
    """A port of the server that leads here, until `stopListening`. A lost connection to the server closes it for
    visitors but does not end it: the client reconnects by itself and requests the port again."""

    def __init__(self, session: Session, mapping: MappingConfig, listener: Listener | None, drain: float) -> None:
        self.name = mapping.name
        self._protocol = mapping.protocol
        self._session = session
        self._listener = listener
        self._drain = drain
        self._last: HostPort | None = None
        self._closed: Callable[[PublicPort], object] = lambda _: None  # set by the tunnel
        self._stopping: list[Deferred[None]] = []
        self._state = "open"

    def __repr__(self) -> str:
        return f"<PublicPort {self.address or self.name}>"

    @property
    def address(self) -> HostPort | None:
        """Where visitors reach it, as the server's own name and the port; None for a mapping without a port."""
        address = self._session.address(self.name)
        if address is not None:
            self._last = address
        return self._last

    @property
    def connected(self) -> bool:
        """Whether the server is connected now."""
        return self._session.connected

    def observe(self, observer: Callable[[Event], object]) -> Callable[[], None]:
        """See Tunnel.observe."""
        return self._session.observers.add(observer)

    def getHost(self) -> IPv4Address | IPv6Address | TunnelAddress:
        """Where visitors reach it, with the IP address at which this process reaches the server."""
        return self._session.public_address(self.name, self.address, self._protocol)

    def startListening(self) -> None:
        """Does nothing on an open port. Raises CannotListenError on a port that was stopped: it cannot be opened
        again."""
        if self._state != "open":
            raise CannotListenError(None, self.name, OSError("the port was closed; listen anew"))

    def stopListening(self) -> Deferred[None]:
        """Close the port. Fires when the server has done so. With `drain` it fires when the visitors have ended, too;
        without it they stay. If nothing else uses the session, that ends with the last visitor."""
        if self._state == "closed":
            done: Answer[None] = Answer()
            done.callback(None)
            return done
        waiting: Deferred[None] = Answer(lambda _: None)
        self._stopping.append(waiting)
        if self._state == "open":
            self._state = "closing"
            Deferred.fromCoroutine(self._stop()).addBoth(self._stopped)
        return waiting

    async def _stop(self) -> None:
        try:
            await self._session.withdraw(self.name, self._drain)
        finally:
            if self._listener is not None:
                self._listener.close()
            await self._session.release()

    def _stopped(self, result: Any) -> None:
        self._state = "closed"
        self._closed(self)
        waiting, self._stopping = self._stopping, []
        for each in waiting:
            if not each.called:
                each.callback(result)


async def open_port(
    session: Session, mapping: MappingConfig, listener: Listener | None, seconds: float | None, drain: float
) -> PublicPort:
    """Publish a mapping, and return when it is open. Raises GotunnelError; nothing of it is left then."""
    session.claim(mapping, drain)
    session.hold()
    port = PublicPort(session, mapping, listener, drain)
    try:
        if listener is not None:
            listener.open(port)
        await session.publish(mapping.name)
        await session.opened(mapping.name, seconds)
        if listener is not None:
            listener.opened()
    except Exception:
        port._drain = 0.0
        await port.stopListening()
        raise
    return port
