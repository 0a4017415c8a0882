"""Brings the admin socket of a process to a port of this machine, for a browser. Whoever may open the socket may do
everything; whoever can reach the port may not. So each request is marked, and the process treats it like a
stranger's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from gotunnel.address import HostPort
from gotunnel.admin.guard import DASHBOARD
from gotunnel.errors import PortUnavailable, Sentence
from gotunnel.net.unixlisten import reachable

__all__ = ["Door", "bring"]

HOST = "127.0.0.1"
LONGEST_LINE = 8192
"""Bytes of the first line of a request."""
_LINE = re.compile(rb"(?:GET|HEAD|POST) [\x21-\x7e]+ HTTP/1\.[01]\r\n")
_MARK = f"{DASHBOARD}: 1\r\n".encode()


class Near(Protocol):
    """The browser's end of one connection. It carries one request: the process answers no second one on a
    connection."""

    transport: Any

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path
        self._head = b""
        self._far: Far | None = None
        self._asked = False

    def dataReceived(self, data: bytes) -> None:
        """Pass on the browser's data, but nothing before the mark is in it."""
        if self._far is not None:
            self._far.transport.write(data)
            return
        self._head += data
        end = self._head.find(b"\r\n") + 2
        if self._asked or (end == 1 and len(self._head) <= LONGEST_LINE):
            return
        if not _LINE.fullmatch(self._head[:end]):
            self.transport.abortConnection()
            return
        self._asked = True
        self._reactor.connectUNIX(self._path, _FarFactory(self))

    def reached(self, far: Far) -> None:
        """The process is connected: send the request with the mark."""
        end = self._head.find(b"\r\n") + 2
        self._far = far
        far.transport.write(self._head[:end] + _MARK + self._head[end:])
        far.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(far.transport, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The browser has disconnected."""
        if self._far is not None:
            self._far.transport.abortConnection()
        self._far = None

    def over(self) -> None:
        """The process has disconnected, or could not be reached."""
        far, self._far = self._far, None
        if far is not None:
            self.transport.unregisterProducer()
        self.transport.loseConnection()


class Far(Protocol):
    """The process's end."""

    transport: Any

    def __init__(self, near: Near) -> None:
        self._near = near

    def connectionMade(self) -> None:
        """The process is connected."""
        if self._near.transport.connected:
            self._near.reached(self)
        else:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Pass on the answer."""
        self._near.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The answer is complete."""
        self._near.over()


class _FarFactory(ClientFactory):
    noisy = False

    def __init__(self, near: Near) -> None:
        self._near = near

    def buildProtocol(self, addr: Any) -> Protocol:
        """Called by Twisted."""
        return Far(self._near)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """Called by Twisted: the process has ended."""
        self._near.over()


class Door(ServerFactory):
    """Accepts browsers on the port."""

    noisy = False

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def buildProtocol(self, addr: Any) -> Protocol:
        """Called by Twisted for each connection."""
        return Near(self._reactor, self._path)


def bring(path: str, port: int, or_another: bool, say: Callable[[HostPort], None]) -> None:
    """Bring the socket at `path` to a port until Ctrl-C. If that port is taken and `or_another` is set, use another
    one. `say` gets the address. Raises PortUnavailable, and the OSError of `say`: nobody would know the link."""
    from twisted.internet import reactor as found

    reactor: Any = found
    with reachable(path) as short:
        door = Door(reactor, short)
        try:
            listening = reactor.listenTCP(port, door, interface=HOST)
        except CannotListenError as taken:
            if not or_another:
                what = Sentence("{at}: {reason}", at=HostPort(HOST, port), reason=taken.socketError)
                raise PortUnavailable("port_in_use", what) from None
            listening = reactor.listenTCP(0, door, interface=HOST)
        unsaid: list[OSError] = []

        def tell() -> None:
            try:
                say(HostPort(HOST, listening.getHost().port))
            except OSError as failed:
                unsaid.append(failed)
                reactor.stop()

        reactor.callWhenRunning(tell)
        reactor.run()
        for failed in unsaid:
            raise failed
